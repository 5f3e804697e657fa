#include "proxy/worker/handshakes.h"

#include <cerrno>
#include <utility>

#include "common/app/log.h"
#include "common/net/socket.h"
#include "proxy/worker/event_loop.h"
#include "proxy/worker/limits.h"

namespace hive::proxy {

Handshakes::Handshakes(EventLoop& loop, std::shared_ptr<const TlsSource> source)
    : loop_(loop), source_(std::move(source)), timeout_(loop.poller(), [this] { OnTimeout(); }) {}

Handshakes::~Handshakes() {
  while (!pending_.empty()) Remove(pending_.front());
}

bool Handshakes::MayBegin() {
  if (pending_.size() < kMostHandshakes) return true;
  Pending& oldest = pending_.front();
  if (loop_.now() - oldest.since < kHandshakePatience) return false;
  Fail(oldest, "it takes its time, and others wait", /*is_fault=*/false);
  return true;
}

void Handshakes::Begin(Fd socket) {
  Pending& pending = pending_.emplace_back(*this, Stream(std::move(socket), *source_->Current()), loop_.now());
  pending.place = std::prev(pending_.end());
  if (!loop_.poller().Add(pending.stream.fd(), pending.interest, &pending)) {
    pending_.pop_back();
    return loop_.Dismiss();
  }
  if (!timeout_.running()) timeout_.StartIn(kHandshakeTimeout);
}

void Handshakes::Step(Pending& pending) {
  if (!budget_.Allows(loop_.now())) return;
  switch (budget_.Step(*pending.stream.tls())) {
    case TlsStream::Progress::kDone:
      return loop_.AddClient(Remove(pending));
    case TlsStream::Progress::kFailed: {
      const TlsStream& tls = *pending.stream.tls();
      return Fail(pending, tls.failure(), /*is_fault=*/!tls.peer_left());
    }
    case TlsStream::Progress::kUnderWay:
      break;
  }
  const uint32_t interest = pending.stream.InterestFor(Poller::kReadable);
  if (std::exchange(pending.interest, interest) != interest) {
    loop_.poller().Modify(pending.stream.fd(), interest, &pending);
  }
}

Stream Handshakes::Remove(Pending& pending) {
  loop_.poller().Remove(pending.stream.fd(), &pending);
  Stream stream = std::move(pending.stream);
  pending_.erase(pending.place);
  return stream;
}

// `is_fault`: of somebody's, who should know. That a peer connects and leaves is what probes do.
void Handshakes::Fail(Pending& pending, const std::string& why, bool is_fault) {
  const std::string client = ToString(PeerEndpoint(pending.stream.fd()));
  if (is_fault && loop_.now() >= next_complaint_) {
    next_complaint_ = loop_.now() + kComplaintInterval;
    LogWarning("listen", "a TLS handshake failed", {{"client", client}, {"why", why}});
  } else {
    LogDebug("listen", "a TLS handshake failed", {{"client", client}, {"why", why}});
  }
  Remove(pending).Close();
  loop_.Dismiss();
}

void Handshakes::OnTimeout() {
  while (!pending_.empty() && loop_.now() - pending_.front().since >= kHandshakeTimeout) {
    Fail(pending_.front(), "it did not come to an end in time", /*is_fault=*/false);
  }
  if (!pending_.empty()) timeout_.Start(pending_.front().since + kHandshakeTimeout);
}

}  // namespace hive::proxy
