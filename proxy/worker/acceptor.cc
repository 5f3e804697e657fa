#include "proxy/worker/acceptor.h"

#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "common/app/log.h"
#include "common/net/descriptors.h"
#include "common/net/socket.h"
#include "proxy/worker/event_loop.h"

namespace hive::proxy {

Acceptor::Acceptor(EventLoop& loop, Fd listener)
    : loop_(loop),
      listener_(std::move(listener)),
      resume_(loop.poller(), [this] { loop_.poller().Modify(listener_, Poller::kReadable, this); }),
      scarce_from_(DescriptorsForClients(DescriptorLimit())) {
  if (!loop_.poller().Add(listener_, Poller::kReadable, this)) {
    LogError("listen", "the kernel refuses to watch a listening socket", {{"errno", ErrnoText(errno)}});
  }
}

Acceptor::~Acceptor() { loop_.poller().Remove(listener_, this); }

void Acceptor::AcceptSome() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (IsScarce()) return Complain(EMFILE);
    if (!loop_.MayTakeIn()) return Pause();
    int error = 0;
    Fd socket = AcceptTcp(listener_, error);
    if (!socket.valid()) {
      if (error == ECONNABORTED || error == EINTR) continue;
      if (error != EAGAIN) Complain(error);
      return;
    }
    scarce_ = socket.get() >= scarce_from_;
    if (!loop_.Admit()) {
      // As redis says it. One small segment into an empty buffer: it is taken, or the client is gone. With TLS it would
      // take a handshake to say anything.
      constexpr std::string_view kFull = "-ERR max number of clients reached\r\n";
      if (!loop_.speaks_tls()) (void)!::send(socket.get(), kFull.data(), kFull.size(), MSG_NOSIGNAL);
      continue;
    }
    loop_.TakeIn(std::move(socket));
  }
}

// The kernel gives out the lowest number that is free: asked for only once it has been too high.
bool Acceptor::IsScarce() {
  if (scarce_) {
    const std::optional<int> next = NextDescriptor(listener_);
    scarce_ = !next || *next >= scarce_from_;
  }
  return scarce_;
}

void Acceptor::Complain(int error) {
  if (loop_.now() >= next_complaint_) {
    next_complaint_ = loop_.now() + kComplaintInterval;
    LogWarning("listen", "no new clients for the moment: raise the limit of open files, or lower --max-clients",
               {{"why", ErrnoText(error)}});
  }
  Pause();
}

void Acceptor::Pause() {
  loop_.poller().Modify(listener_, 0, this);
  resume_.StartIn(kAcceptPause);
}

}  // namespace hive::proxy
