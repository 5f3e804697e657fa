// How connections to redis are made.
//
// Thread rule: value type; the poller's thread.
#pragma once

#include "common/app/tls_source.h"
#include "common/net/handshake_budget.h"
#include "common/net/poller.h"

namespace hive::proxy {

struct Transport {
  // In plaintext.
  Transport(Poller& loop_poller) : poller(loop_poller) {}  // NOLINT(google-explicit-constructor)
  // `source`: null: in plaintext. `bound`: null: handshakes take what they need.
  Transport(Poller& loop_poller, const TlsSource* source, HandshakeBudget* bound)
      : poller(loop_poller), tls(source), budget(bound) {}

  Poller& poller;
  const TlsSource* tls = nullptr;
  HandshakeBudget* budget = nullptr;
};

}  // namespace hive::proxy
