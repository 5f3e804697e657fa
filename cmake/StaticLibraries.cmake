# HIVE_STATIC: executables that need nothing beside themselves, for an image FROM scratch. Debian ships archives of what we link, but
# its CMake packages name the shared libraries. (A library that has no archive fails the link, and ld names it.)

option(HIVE_STATIC "Link everything statically" OFF)

if(HIVE_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a) # for packages that are found by searching: protobuf, OpenSSL, zlib, pkg-config's
  # Still loaded at a random address; and relocations, which would take a tenth of the file, packed.
  add_link_options(-static-pie -Wl,--gc-sections -Wl,-z,pack-relative-relocs)
endif()

# hive_use_static_libraries(): for the packages that name their files (gRPC, Abseil): each imported .so becomes the archive beside it.
# Call it once all packages are found.
function(hive_use_static_libraries)
  if(NOT HIVE_STATIC)
    return()
  endif()
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target ${targets})
    foreach(config "" _NONE)
      get_target_property(file ${target} IMPORTED_LOCATION${config})
      if(file MATCHES "\\.so[.0-9]*$")
        string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive ${file})
        set_target_properties(${target} PROPERTIES IMPORTED_LOCATION${config} ${archive})
      endif()
    endforeach()
  endforeach()
endfunction()
