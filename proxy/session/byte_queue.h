// Bytes that wait, in one contiguous piece: appended behind, consumed in front.
//
// Thread rule: value type. Views last until the next Append or Consume.
#pragma once

#include <cstddef>
#include <string_view>

#include "proxy/session/fifo.h"

namespace hive::proxy {

class ByteQueue {
 public:
  bool empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size(); }
  std::string_view view() const { return {bytes_.data(), bytes_.size()}; }

  // `more`: none of this queue's own.
  void Append(std::string_view more) { bytes_.Append(more.data(), more.size()); }
  // Requires n <= size().
  void Consume(size_t n) { bytes_.pop_front(n); }
  void Clear() { bytes_.Clear(); }
  // Gives the memory back that an empty queue keeps. False: there is none.
  bool Shed() { return bytes_.Shed(); }

 private:
  // 4 KiB are kept, so that a client that sends one batch of small commands after the other does not allocate.
  Fifo<char, 4096> bytes_;
};

}  // namespace hive::proxy
