#include "common/net/splice_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace hive {

SplicePipe::SplicePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
  out_ = Fd(ends[0]);
  in_ = Fd(ends[1]);
  // Refused when this user has too many large pipes already: then fewer bytes move at once.
  (void)::fcntl(in_.get(), F_SETPIPE_SZ, static_cast<int>(kBytes));
}

ssize_t SplicePipe::Fill(const Fd& from, size_t most) {
  const ssize_t n = ::splice(from.get(), nullptr, in_.get(), nullptr, std::min(most, kBytes), SPLICE_F_NONBLOCK);
  if (n > 0) size_ += static_cast<size_t>(n);
  return n;
}

ssize_t SplicePipe::Drain(const Fd& to) {
  const ssize_t n = ::splice(out_.get(), nullptr, to.get(), nullptr, size_, SPLICE_F_NONBLOCK);
  if (n > 0) size_ -= static_cast<size_t>(n);
  return n;
}

std::string_view SplicePipe::Take(std::span<char> buffer) {
  const ssize_t n = ::read(out_.get(), buffer.data(), std::min(buffer.size(), size_));
  if (n <= 0) return {};
  size_ -= static_cast<size_t>(n);
  return {buffer.data(), static_cast<size_t>(n)};
}

}  // namespace hive
