// Does anything listen there? A TCP connection is opened and closed again: the one question whose answer "refused"
// proves that a process is gone. gRPC cannot be asked: a stopped process's kernel accepts for it, and gRPC reports that
// no differently from an address that does not answer.
//
// Thread rule: as each says.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/fd.h"

namespace hive::coordinator {

enum class TcpOutcome : uint8_t {
  kConnected,
  kRefused,      // a reset: nothing listens
  kUnreachable,  // no route, host down
  kNoConnect,    // no answer within the window
};

// What an errno of connect() means.
TcpOutcome TcpOutcomeOf(int error);

// Blocks for at most `window`. Ends early, as kNoConnect, when `interrupt` (an eventfd, or -1) becomes readable. With
// kConnected, `socket` (if asked for) is the connection: non-blocking, with TCP_NODELAY.
TcpOutcome ConnectWithin(const Endpoint& to, Duration window, int interrupt, Fd* socket = nullptr);

// Many at a time, on a thread of its own.
//
// Thread rule: Dial from any thread; `done` is called on the dialler's, and must not block.
class TcpDialler {
 public:
  // Attempts in flight: three for each of a hundred members. Beyond that, kNoConnect at once.
  static constexpr size_t kMaxAttempts = 300;

  using Done = std::function<void(TcpOutcome outcome)>;

  TcpDialler();
  ~TcpDialler();  // attempts in flight are dropped, their callbacks destroyed uncalled
  TcpDialler(const TcpDialler&) = delete;
  TcpDialler& operator=(const TcpDialler&) = delete;

  // `done` is called exactly once, at most `window` from now.
  void Dial(const Endpoint& to, Duration window, Done done);

 private:
  class Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace hive::coordinator
