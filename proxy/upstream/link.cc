#include "proxy/upstream/link.h"

#include <sys/socket.h>

#include <cerrno>

#include "absl/status/statusor.h"
#include "common/net/socket.h"

namespace hive::proxy {

absl::Status Link::Connect(const Endpoint& redis, int below) {
  absl::StatusOr<Fd> socket = ConnectTcp(redis, below);
  if (!socket.ok()) return socket.status();
  SetKeepAlive(*socket);
  redis_ = redis;
  interest_ = Poller::kWritable;
  if (!poller_.Add(*socket, interest_, this)) return absl::ResourceExhaustedError("epoll takes no more descriptors");
  fd_ = std::move(*socket);
  return absl::OkStatus();
}

ssize_t Link::Read(char* buffer, size_t size) { return ::recv(fd_.get(), buffer, size, 0); }

ssize_t Link::Write(std::string_view bytes) {
  return Written(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size());
}

ssize_t Link::WriteAll(std::span<iovec> pieces, size_t total) {
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  return Written(::sendmsg(fd_.get(), &message, MSG_NOSIGNAL), total);
}

ssize_t Link::Written(ssize_t n, size_t total) {
  if (n < static_cast<ssize_t>(total) && (n >= 0 || errno == EAGAIN)) {
    blocked_ = true;
    UpdateInterest();
  }
  return n;
}

void Link::SetReading(bool reading) {
  reading_ = reading;
  if (up_) UpdateInterest();
}

void Link::Close() {
  up_ = false;
  if (!fd_.valid()) return;
  poller_.Remove(fd_, this);
  fd_.Close();
}

void Link::UpdateInterest() {
  const uint32_t interest = (reading_ ? Poller::kReadable : 0) | (blocked_ ? Poller::kWritable : 0);
  if (interest == interest_ || !fd_.valid()) return;
  interest_ = interest;
  poller_.Modify(fd_, interest_, this);
}

// The owner may close and retire this link in any of the calls: nothing follows the last one.
void Link::OnReady(uint32_t ready) {
  if (!up_) {
    if (const absl::Status result = ConnectResult(fd_, redis_); !result.ok()) {
      Close();
      return owner_->OnLinkDown(result);
    }
    up_ = true;
    UpdateInterest();
    return owner_->OnLinkUp();
  }
  if ((ready & Poller::kWritable) != 0) {
    blocked_ = false;
    UpdateInterest();
    owner_->OnLinkWritable();
    if (!fd_.valid()) return;
  }
  if ((ready & Poller::kReadable) != 0) return owner_->OnLinkReadable();
  if ((ready & Poller::kBroken) != 0) {
    if (reading_) return owner_->OnLinkReadable();  // reading tells the reason, and what had come before it
    Close();
    owner_->OnLinkDown(absl::UnavailableError("the connection to " + ToString(redis_) + " broke"));
  }
}

}  // namespace hive::proxy
