// The version of this build, as the project() line of the top CMakeLists.txt has it.
#pragma once

#include <string_view>

namespace hive {

std::string_view Version();  // "0.1.0"

}  // namespace hive
