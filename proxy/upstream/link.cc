#include "proxy/upstream/link.h"

#include <cerrno>
#include <utility>

#include "absl/status/statusor.h"
#include "common/net/socket.h"

namespace hive::proxy {

absl::Status Link::Connect(const Endpoint& redis, int below) {
  absl::StatusOr<Fd> socket = ConnectTcp(redis, below);
  if (!socket.ok()) return socket.status();
  SetKeepAlive(*socket);
  redis_ = redis;
  interest_ = Poller::kWritable;
  if (!transport_.poller.Add(*socket, interest_, this)) {
    return absl::ResourceExhaustedError("epoll takes no more descriptors");
  }
  if (transport_.tls != nullptr) {
    stream_ = Stream(std::move(*socket), *transport_.tls->Current());
  } else {
    stream_ = Stream(std::move(*socket));
  }
  return absl::OkStatus();
}

ssize_t Link::Read(char* buffer, size_t size) {
  const ssize_t n = stream_.Read(buffer, size);
  if (stream_.tls() == nullptr) return n;
  const int error = errno;
  UpdateInterest();
  errno = error;
  return n;
}

std::string Link::WhyItEnded() {
  const std::string failure = stream_.TlsFailureAtEnd();
  return failure.empty() ? "the server closed the connection" : "TLS: " + failure;
}

ssize_t Link::Write(std::string_view bytes) { return Written(stream_.Write(bytes), bytes.size()); }

ssize_t Link::Write(SplicePipe& pipe) {
  const size_t total = pipe.size();
  return Written(pipe.Drain(stream_.fd()), total);
}

ssize_t Link::WriteAll(std::span<iovec> pieces, size_t total) { return Written(stream_.Write(pieces), total); }

ssize_t Link::Written(ssize_t n, size_t total) {
  if (n < static_cast<ssize_t>(total) && (n >= 0 || errno == EAGAIN)) blocked_ = true;
  if (blocked_ || stream_.unsent() > 0) {
    const int error = errno;
    UpdateInterest();
    errno = error;
  }
  return n;
}

void Link::SetReading(bool reading) {
  reading_ = reading;
  if (up_) UpdateInterest();
}

void Link::Close() {
  up_ = false;
  if (!stream_.valid()) return;
  transport_.poller.Remove(stream_.fd(), this);
  stream_.Close();
}

void Link::UpdateInterest() {
  if (!stream_.valid()) return;
  const uint32_t wanted =
      up_ ? (reading_ ? Poller::kReadable : 0) | (blocked_ ? Poller::kWritable : 0) : Poller::kReadable;
  const uint32_t interest = stream_.InterestFor(wanted);
  if (interest == interest_) return;
  interest_ = interest;
  transport_.poller.Modify(stream_.fd(), interest_, this);
}

void Link::Fail(const absl::Status& why) {
  Close();
  owner_->OnLinkDown(why);
}

// The outcome of connecting is known; or of a step of the handshake behind it.
void Link::Establish() {
  if (!std::exchange(connected_, true)) {
    if (const absl::Status result = ConnectResult(stream_.fd(), redis_); !result.ok()) return Fail(result);
  }
  if (TlsStream* const tls = stream_.tls()) {
    HandshakeBudget* const budget = transport_.budget;
    if (budget != nullptr && !budget->Allows(transport_.poller.Now())) return;
    const TlsStream::Progress progress = budget != nullptr ? budget->Step(*tls) : tls->Handshake();
    if (progress == TlsStream::Progress::kUnderWay) return UpdateInterest();
    if (progress == TlsStream::Progress::kFailed) {
      return Fail(absl::UnavailableError("no TLS with " + ToString(redis_) + ": " + tls->failure()));
    }
  }
  up_ = true;
  UpdateInterest();
  owner_->OnLinkUp();
}

// The owner may close and retire this link in any of the calls: nothing follows the last one.
void Link::OnReady(uint32_t ready) {
  if (!up_) return Establish();
  ready = stream_.OnReady(ready);
  if ((ready & Poller::kWritable) != 0) {
    const bool was_blocked = std::exchange(blocked_, false);
    UpdateInterest();
    if (was_blocked) owner_->OnLinkWritable();
    if (!stream_.valid()) return;
  }
  if ((ready & Poller::kReadable) != 0) return owner_->OnLinkReadable();
  if ((ready & Poller::kBroken) != 0) {
    if (reading_) return owner_->OnLinkReadable();  // reading tells the reason, and what had come before it
    Fail(absl::UnavailableError("the connection to " + ToString(redis_) + " broke"));
  }
}

}  // namespace hive::proxy
