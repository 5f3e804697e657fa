// Takes new clients in from one listening socket, up to --max-clients. Out of file descriptors it pauses instead of
// spinning on a socket that stays readable.
//
// Thread rule: its event loop's thread.
#pragma once

#include "common/net/fd.h"
#include "common/net/poller.h"

namespace hive::proxy {

class EventLoop;

class Acceptor final : private Poller::Handler {
 public:
  Acceptor(EventLoop& loop, Fd listener);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Takes in who waits, at most kAcceptsPerTurn.
  void AcceptSome();

 private:
  void OnReady(uint32_t) override { AcceptSome(); }
  void Pause(int error);

  EventLoop& loop_;
  Fd listener_;
  Timer resume_;
  Instant next_complaint_{};
};

}  // namespace hive::proxy
