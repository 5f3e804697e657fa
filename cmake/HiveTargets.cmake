# hive_library and hive_test: every target of ours gets the same language level, warnings and sanitizers.

option(HIVE_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
set(HIVE_SANITIZE "" CACHE STRING "Sanitizers for every target, e.g. address,undefined or thread")

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# What every target of ours is compiled with. Generated protobuf code gets the language level only: its warnings are not ours.
add_library(hive_language INTERFACE)
target_compile_features(hive_language INTERFACE cxx_std_20)
target_include_directories(hive_language INTERFACE ${CMAKE_SOURCE_DIR})
if(HIVE_SANITIZE)
  target_compile_options(hive_language INTERFACE -fsanitize=${HIVE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(hive_language INTERFACE -fsanitize=${HIVE_SANITIZE})
endif()

add_library(hive_options INTERFACE)
target_link_libraries(hive_options INTERFACE hive_language)
target_compile_options(hive_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror)

# hive_library(NAME SOURCES a.cc ... DEPS lib ...): a folder's library; with no .cc file it is an INTERFACE library.
function(hive_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC ${ARG_DEPS} hive_language PRIVATE hive_options)
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${ARG_DEPS} hive_language)
  endif()
endfunction()

# hive_binary(NAME SOURCES ... DEPS ...): an executable in <build>/bin.
function(hive_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} hive_options)
endfunction()

# hive_test(NAME SOURCES ... DEPS ... [TIMEOUT s]): a GoogleTest executable, one ctest entry per TEST.
function(hive_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} hive_options GTest::gtest GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} DISCOVERY_TIMEOUT 60)
endfunction()
