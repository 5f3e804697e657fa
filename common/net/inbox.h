// A bounded queue from many threads to one, which waits on it with a deadline.
//
// Thread rule: Push and Close from any thread; WaitUntil from the one reader.
// Order: each pusher's items stay in its order; between pushers, the order in which the lock was taken.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "common/base/time.h"

namespace hive {

template <typename T>
class Inbox {
 public:
  // `capacity`: items that may wait. Say why where you choose it.
  explicit Inbox(size_t capacity) : capacity_(capacity) {}
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  enum class Urgency {
    kWakes,
    kWaits,  // for the reader to wake up for another reason
  };

  // False when the inbox is full or closed: the item is dropped, and the caller decides what that means.
  [[nodiscard]] bool Push(T item, Urgency urgency = Urgency::kWakes) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || items_.size() >= capacity_) return false;
      items_.push_back(std::move(item));
      if (urgent_ || urgency == Urgency::kWaits) return true;  // the reader has been told already, or need not be
      urgent_ = true;
    }
    arrived_.notify_one();
    return true;
  }

  // Replaces the contents of `out` by all that waits; sleeps until there is something that wakes, `deadline` has come,
  // or the inbox is closed. Pass the same vector each time: its memory is reused. False once closed and drained.
  bool WaitUntil(Instant deadline, std::vector<T>& out) {
    out.clear();
    std::unique_lock lock(mutex_);
    // steady_clock is CLOCK_MONOTONIC, as Instant is.
    const std::chrono::time_point<std::chrono::steady_clock, Duration> wake_at(deadline.time_since_epoch());
    arrived_.wait_until(lock, wake_at, [this] { return closed_ || urgent_; });
    urgent_ = false;
    out.swap(items_);
    return !(closed_ && out.empty());
  }

  // No more items are taken in; the reader drains what is there, then is told.
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    arrived_.notify_one();
  }

 private:
  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<T> items_;  // guarded by mutex_
  bool urgent_ = false;   // guarded by mutex_: one of them wakes the reader
  bool closed_ = false;   // guarded by mutex_
};

}  // namespace hive
