// Why a program must end, where people look for it: the last line of its log.
//
// Thread rule: any thread.
#pragma once

#include <string_view>

namespace hive {

// Writes the line on stderr as it is, behind what was logged before; without a running Logging (log.h) at once.
void WriteLastLine(std::string_view line);

}  // namespace hive
