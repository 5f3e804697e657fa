#include "common/net/clock.h"

#include <time.h>

namespace hive {
namespace {

Duration Read(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

Instant ReadMonotonicClock() { return Instant(Read(CLOCK_MONOTONIC)); }

WallMicros ReadWallClock() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Read(CLOCK_REALTIME)).count();
}

}  // namespace hive
