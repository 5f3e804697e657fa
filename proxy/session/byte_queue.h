// Bytes that wait, in one contiguous piece: appended behind, consumed in front.
//
// An idle connection must be small: what is empty and has grown large gives its memory back, and the rest when told to.
//
// Thread rule: value type. Views last until the next Append or Consume.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hive::proxy {

class ByteQueue {
 public:
  // Kept when the queue runs empty, until Shed, so that a client that sends one batch of small commands after the other
  // does not allocate.
  static constexpr size_t kKeptWhenEmpty = 4096;

  bool empty() const { return head_ == bytes_.size(); }
  size_t size() const { return bytes_.size() - head_; }
  std::string_view view() const { return std::string_view(bytes_).substr(head_); }

  void Append(std::string_view more) {
    // Moving what is left to the front costs at most as much as was consumed since the last time.
    if (head_ > 0 && head_ >= bytes_.size() - head_) {
      bytes_.erase(0, head_);
      head_ = 0;
    }
    bytes_.append(more);
  }

  // Requires n <= size().
  void Consume(size_t n) {
    head_ += n;
    if (empty()) Clear();
  }

  void Clear() {
    head_ = 0;
    bytes_.clear();
    if (bytes_.capacity() > kKeptWhenEmpty) Shed();
  }

  // Gives the memory back that an empty queue keeps.
  void Shed() {
    if (empty()) std::string().swap(bytes_);
  }

 private:
  std::string bytes_;
  size_t head_ = 0;
};

}  // namespace hive::proxy
