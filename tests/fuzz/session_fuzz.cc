// libFuzzer target: see session_properties.h.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/fuzz/session_properties.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hive::proxy::CheckSession(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
