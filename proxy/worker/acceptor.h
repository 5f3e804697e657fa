// Takes new clients in from one listening socket, up to --max-clients. When descriptors become scarce it pauses: those
// that are left are for the connections to redis of the clients that are there, and of the proxy itself. New clients
// then wait in the kernel, and nothing spins on a socket that stays readable.
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
  bool IsScarce();
  void Complain(int error);
  void Pause();

  EventLoop& loop_;
  Fd listener_;
  Timer resume_;
  const int scarce_from_;  // a client's descriptor of this number, or above, is one that was set aside
  bool scarce_ = false;    // the last client got such a one
  Instant next_complaint_{};
};

}  // namespace hive::proxy
