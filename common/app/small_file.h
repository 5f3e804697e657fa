// Reads files that people put secrets and certificates into.
//
// Thread rule: free functions that read a file.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace hive {

// The whole file. The error says what is wrong with it, but not its name: "no such file", "cannot be opened: Permission
// denied", "holds more than 4096 bytes" (this one OUT_OF_RANGE).
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes);

// What changes when the file does: of the one that a symbolic link leads to. Empty: there is none.
std::string StateOfFile(const std::string& path);

}  // namespace hive
