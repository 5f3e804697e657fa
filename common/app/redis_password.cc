#include "common/app/redis_password.h"

#include <cstdlib>
#include <utility>

#include "common/app/small_file.h"

namespace hive {

absl::StatusOr<std::string> ReadRedisPassword(const std::string& file) {
  if (file.empty()) {
    const char* from_environment = std::getenv("HIVE_REDIS_PASSWORD");
    return std::string(from_environment != nullptr ? from_environment : "");
  }
  const auto refuse = [&file](const std::string& why) {
    return absl::InvalidArgumentError("--redis-password-file=" + file + ": " + why);
  };
  // A newline may follow the password.
  absl::StatusOr<std::string> read = ReadSmallFile(file, kMaxPasswordBytes + 1);
  if (absl::IsOutOfRange(read.status())) return refuse("holds more than a password");
  if (!read.ok()) return refuse(std::string(read.status().message()));
  std::string password = *std::move(read);
  if (password.ends_with('\n')) password.pop_back();
  if (password.empty()) return refuse("is empty; leave the flag out for a redis without a password");
  if (password.size() > kMaxPasswordBytes) return refuse("holds more than a password");
  return password;
}

std::string WithoutArguments(std::string error) {
  const size_t repeated = error.find(", with args beginning with");
  if (repeated != std::string::npos) error.resize(repeated);
  return error;
}

}  // namespace hive
