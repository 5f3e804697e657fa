#include "common/app/redis_password.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "common/net/fd.h"
#include "common/net/socket.h"

namespace hive {

absl::StatusOr<std::string> ReadRedisPassword(const std::string& file) {
  if (file.empty()) {
    const char* from_environment = std::getenv("HIVE_REDIS_PASSWORD");
    return std::string(from_environment != nullptr ? from_environment : "");
  }
  const auto refuse = [&file](const std::string& why) {
    return absl::InvalidArgumentError("--redis-password-file=" + file + ": " + why);
  };
  const Fd descriptor(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.valid()) return refuse(errno == ENOENT ? "no such file" : "cannot be opened: " + ErrnoText(errno));

  std::string password(kMaxPasswordBytes + 2, '\0');  // a newline, and one byte more to see that it is too long
  size_t size = 0;
  while (size < password.size()) {
    const ssize_t got = read(descriptor.get(), password.data() + size, password.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refuse("cannot be read: " + ErrnoText(errno));
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  password.resize(size);
  if (password.ends_with('\n')) password.pop_back();
  if (password.empty()) return refuse("is empty; leave the flag out for a redis without a password");
  if (password.size() > kMaxPasswordBytes) return refuse("holds more than a password");
  return password;
}

}  // namespace hive
