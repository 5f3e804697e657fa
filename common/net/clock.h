// The clocks of this process. Only runtimes and adapters include this header: pure code is given `Instant`s.
//
// Thread rule: any thread.
#pragma once

#include "common/base/time.h"

namespace hive {

// CLOCK_MONOTONIC: never set back, counts from an unspecified origin, stands still while the machine sleeps.
Instant ReadMonotonicClock();

// CLOCK_REALTIME. May jump.
WallMicros ReadWallClock();

}  // namespace hive
