// Bounds the CPU that TLS handshakes take in one turn of an event loop, so that a crowd of them does not keep everybody
// else waiting: beyond it, and the one that went beyond it, they go on in the next turn.
//
// Thread rule: one thread.
#pragma once

#include <utility>

#include "common/base/time.h"
#include "common/net/clock.h"
#include "common/net/tls_stream.h"

namespace hive {

class HandshakeBudget {
 public:
  // A client that is there waits for so long.
  static constexpr Duration kPerTurn = Millis(2);

  // Whether there is some left, `turn` being the poller's Now(). If not, leave the socket as it is, which is ready in
  // the next turn, too.
  bool Allows(Instant turn) {
    if (std::exchange(turn_, turn) != turn) spent_ = {};
    return spent_ < kPerTurn;
  }

  TlsStream::Progress Step(TlsStream& stream) {
    const Instant begun = ReadMonotonicClock();
    const TlsStream::Progress progress = stream.Handshake();
    spent_ += ReadMonotonicClock() - begun;
    return progress;
  }

 private:
  Instant turn_{};
  Duration spent_{};
};

}  // namespace hive
