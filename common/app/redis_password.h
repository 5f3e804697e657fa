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

// An error of redis, as people may be told it: where it does not know a command it repeats the arguments, and of AUTH
// and CONFIG SET masterauth one is the password.
std::string WithoutArguments(std::string error);

}  // namespace hive
