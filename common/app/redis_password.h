// The password of redis: from the file of --redis-password-file, else from HIVE_REDIS_PASSWORD. Never a flag itself,
// since every process of the machine may read a command line.
//
// Thread rule: free function that reads a file.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace hive {

// More than any password; a file beyond it is the wrong file.
inline constexpr size_t kMaxPasswordBytes = 4096;

// `file` may be empty. Empty result: no password. Of a file, one trailing newline is dropped. Errors name the file and
// say what is wrong with it.
absl::StatusOr<std::string> ReadRedisPassword(const std::string& file);

}  // namespace hive
