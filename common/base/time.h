// Time as an argument. Nothing in this header reads a clock: the runtime and the simulator pass `Instant`s in.
//
// Thread rule: value types.
#pragma once

#include <chrono>
#include <cstdint>

namespace hive {

// A span of time, in nanoseconds.
using Duration = std::chrono::nanoseconds;

// The clock that `Instant` belongs to: monotonic, process-local, of unspecified origin. It has no now() on purpose.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};

// A point on this process's monotonic clock. Comparable within one process only; never sent to a peer.
using Instant = MonotonicClock::time_point;

// Wall-clock time in microseconds since the Unix epoch. Sent to peers, which assume nothing of its accuracy.
using WallMicros = int64_t;

// Whole milliseconds of a span, rounded towards zero.
constexpr int64_t ToMillis(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

constexpr Duration Millis(int64_t n) { return std::chrono::milliseconds(n); }
constexpr Duration Seconds(int64_t n) { return std::chrono::seconds(n); }

}  // namespace hive
