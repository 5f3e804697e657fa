// A queue in one piece of memory, with access to all of its elements. Gives its memory back when it runs empty after
// it had grown large, or when told to.
//
// Thread rule: value type.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace hive::proxy {

template <typename T>
class Fifo {
 public:
  // Elements whose room is kept when the queue runs empty, until Shed: what a client that pipelines moderately needs.
  static constexpr size_t kKeptWhenEmpty = 64;

  bool empty() const { return head_ == items_.size(); }
  size_t size() const { return items_.size() - head_; }
  T& operator[](size_t i) { return items_[head_ + i]; }
  const T& operator[](size_t i) const { return items_[head_ + i]; }
  T& front() { return items_[head_]; }
  const T& front() const { return items_[head_]; }
  T& back() { return items_.back(); }

  void push_back(T item) {
    if (head_ > 0 && head_ >= items_.size() - head_ && items_.size() == items_.capacity()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    items_.push_back(std::move(item));
  }

  void pop_front(size_t count = 1) {
    head_ += count;
    if (!empty()) return;
    head_ = 0;
    items_.clear();
    if (items_.capacity() > kKeptWhenEmpty) Shed();
  }

  // Gives the memory back that an empty queue keeps.
  void Shed() {
    if (empty()) std::vector<T>().swap(items_);
  }

 private:
  std::vector<T> items_;
  size_t head_ = 0;
};

}  // namespace hive::proxy
