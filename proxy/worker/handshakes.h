// TLS handshakes under way: connections that were admitted, and are no clients yet. Each gets kHandshakeTimeout; when
// there are kMostHandshakes, whoever has taken more than kHandshakePatience makes room for the next one, so that those
// who connect and say nothing keep out nobody who does. They cost CPU, so a turn of the loop does few of them.
//
// Thread rule: its event loop's thread.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "common/app/tls_source.h"
#include "common/base/time.h"
#include "common/net/fd.h"
#include "common/net/handshake_budget.h"
#include "common/net/poller.h"
#include "common/net/stream.h"

namespace hive::proxy {

class EventLoop;

class Handshakes {
 public:
  Handshakes(EventLoop& loop, std::shared_ptr<const TlsSource> source);
  ~Handshakes();
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;

  // Whether there is room for another one, which is made if it can be.
  bool MayBegin();
  // The loop's AddClient or Dismiss follows.
  void Begin(Fd socket);

 private:
  struct Pending final : Poller::Handler {
    Pending(Handshakes& all, Stream connection, Instant now) : owner(all), stream(std::move(connection)), since(now) {}
    void OnReady(uint32_t) override { owner.Step(*this); }

    Handshakes& owner;
    Stream stream;
    const Instant since;
    uint32_t interest = Poller::kReadable;
    std::list<Pending>::iterator place;
  };

  void Step(Pending& pending);
  Stream Remove(Pending& pending);
  void Fail(Pending& pending, const std::string& why, bool is_fault);
  void OnTimeout();

  EventLoop& loop_;
  const std::shared_ptr<const TlsSource> source_;
  std::list<Pending> pending_;  // the oldest in front
  Timer timeout_;
  HandshakeBudget budget_;
  Instant next_complaint_{};
};

}  // namespace hive::proxy
