// An owned file descriptor.
//
// Thread rule: value type; move-only. Closing a descriptor that another thread still uses is the caller's bug.
#pragma once

#include <unistd.h>

#include <utility>

namespace hive {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}  // takes ownership; a negative number is "none"
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { Close(); }

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }  // -1 when not valid

  // Closes now. Harmless when not valid. Linux releases the number even when close() is interrupted: never retried.
  void Close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  // Hands the descriptor to the caller, who closes it.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace hive
