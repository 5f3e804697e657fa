#include "common/app/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/net/fd.h"
#include "common/net/socket.h"

namespace hive {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes) {
  const Fd descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.valid()) {
    return absl::InvalidArgumentError(errno == ENOENT ? "no such file" : "cannot be opened: " + ErrnoText(errno));
  }
  std::string text(max_bytes + 1, '\0');  // one byte more, to see that it is too long
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(descriptor.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::InvalidArgumentError("cannot be read: " + ErrnoText(errno));
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > max_bytes) return absl::OutOfRangeError("holds more than " + std::to_string(max_bytes) + " bytes");
  text.resize(size);
  return text;
}

std::string StateOfFile(const std::string& path) {
  struct stat found = {};
  if (path.empty() || ::stat(path.c_str(), &found) != 0) return {};
  return std::to_string(found.st_dev) + ":" + std::to_string(found.st_ino) + ":" + std::to_string(found.st_size) + ":" +
         std::to_string(found.st_mtim.tv_sec) + "." + std::to_string(found.st_mtim.tv_nsec);
}

}  // namespace hive
