// What the clients of an event loop hold in memory, against two bounds: --hold-memory for commands that wait for a
// leader, and as much again for everything else (beginnings of commands, commands in flight, replies that are not
// taken). Apart, so that whoever does not finish what it sends, or does not read, takes no room from who waits; and a
// command that can be sent is never refused for want of memory.
//
//   crowded:  whoever has more than kSmallShare is read from no more, and asks for no more; who does not move for
//             kSlowReaderGrace is closed
//   overfull: those that hold the most, for the longest, are closed at once
//
// So whoever holds little is served whatever others do.
//
// Thread rule: its event loop's thread.
// docs: docs/proxy.md, "Limits".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/time.h"

namespace hive::proxy {

// A client that holds no more is not kept from going on, however much others hold.
inline constexpr size_t kSmallShare = 16 * 1024;

// The bound for all but what waits for a leader is not below this: a single client's replies need some room.
inline constexpr uint64_t kLeastBuffers = 4 * 1024 * 1024;

// What one client holds.
struct MemoryShare {
  size_t held = 0;      // commands that wait for a leader
  size_t buffered = 0;  // all the rest
};

class MemoryBounds {
 public:
  explicit MemoryBounds(uint64_t hold_memory)
      : hold_memory_(hold_memory), buffers_(std::max(hold_memory, kLeastBuffers)) {}

  void Account(const MemoryShare& before, const MemoryShare& after) {
    held_ += after.held - before.held;
    buffered_ += after.buffered - before.buffered;
  }

  // Whether one more command may wait for a leader.
  bool may_hold() const { return held_ < hold_memory_; }
  bool crowded() const { return buffered_ >= comfortable(); }
  bool overfull() const { return buffered_ >= buffers_; }
  uint64_t buffered() const { return buffered_; }
  // Those who are closed make room down to this, so that it does not happen for every byte.
  uint64_t comfortable() const { return buffers_ / 4 * 3; }

 private:
  const uint64_t hold_memory_;
  const uint64_t buffers_;
  uint64_t held_ = 0;
  uint64_t buffered_ = 0;
};

// A client that may have to pay.
struct Debtor {
  size_t index = 0;  // the caller's
  size_t bytes = 0;
  Duration since{};  // how long it has held more than kSmallShare
};

// Puts those in front who have held the most for the longest: a share that is large for a moment, as everybody's who
// sends or reads something large, counts less than one that stays.
inline void SortByDebt(std::span<Debtor> debtors) {
  const auto debt = [](const Debtor& debtor) {
    return static_cast<double>(debtor.bytes) * (1 + static_cast<double>(ToMillis(debtor.since)));
  };
  std::ranges::sort(debtors, [&](const Debtor& a, const Debtor& b) { return debt(a) > debt(b); });
}

}  // namespace hive::proxy
