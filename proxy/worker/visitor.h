// What the proxy knows of a client that has not authenticated: whether the server lets it in all the same.
//
// Thread rule: value type.
#pragma once

#include <cstdint>

#include "common/base/time.h"
#include "proxy/upstream/authentication_check.h"

namespace hive::proxy {

struct Visitor {
  Instant since{};      // when it connected, or was made anew by RESET (ReadMonotonicClock)
  uint32_t resets = 0;  // of its settings, as seen here
  Welcome welcome = Welcome::kNotKnown;
  bool authenticates = false;  // AUTH or HELLO is under way
  bool asks = false;           // what it sends waits until it is known whether a stranger may
  bool sent_much = false;      // commands that a stranger may not send were taken, in the belief that it is let in

  bool known() const { return welcome == Welcome::kLetIn || welcome == Welcome::kStranger; }
};

}  // namespace hive::proxy
