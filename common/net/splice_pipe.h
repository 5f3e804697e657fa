// Passes bytes on from one socket to another within the kernel, by splice(2): they are copied neither into this process
// nor out of it again, which is most of what the way of a large value costs. Plain sockets only.
//
//   switch (pipe.Fill(from, most)) { ... }  // as recv(2)
//   pipe.Drain(to);                         // as send(2)
//   while (pipe.size() > 0) Keep(pipe.Take(buffer));
//
// Thread rule: one thread. It is to be empty between two uses, so that many may share it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "common/net/fd.h"

namespace hive {

class SplicePipe {
 public:
  // What it holds if the kernel permits (else 64 KiB, or less).
  static constexpr size_t kBytes = size_t{1024} * 1024;

  // Not valid when there are no descriptors left.
  SplicePipe();
  bool valid() const { return in_.valid(); }

  // Takes at most `most` bytes that have come on `from`. As recv(2): how many; 0: the peer sends no more; -1 with
  // errno. Requires size() == 0.
  ssize_t Fill(const Fd& from, size_t most);
  // Gives them to `to`. As send(2): how many it took; -1 with errno, EPIPE with SIGPIPE.
  ssize_t Drain(const Fd& to);
  // What is left goes through `buffer` after all: the next of it, not empty while size() > 0.
  std::string_view Take(std::span<char> buffer);

  // Bytes that were filled in and are still there.
  size_t size() const { return size_; }

 private:
  Fd in_;
  Fd out_;
  size_t size_ = 0;
};

}  // namespace hive
