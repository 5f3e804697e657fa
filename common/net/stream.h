// A connected socket, with or without TLS on it: read and written like the socket, which it is where there is none.
//
// Thread rule: one thread. The poller's bits pass through InterestFor and OnReady, which know what TLS needs.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/net/fd.h"
#include "common/net/tls_stream.h"

namespace hive {

class Stream {
 public:
  Stream() = default;
  explicit Stream(Fd fd) : fd_(std::move(fd)) {}
  Stream(Fd fd, const TlsContext& context) : tls_(std::make_unique<TlsStream>(context, fd)), fd_(std::move(fd)) {}
  Stream(Stream&&) = default;
  Stream& operator=(Stream&&) = default;

  const Fd& fd() const { return fd_; }
  bool valid() const { return fd_.valid(); }
  bool encrypted() const { return tls_ != nullptr; }
  // Null: plain. For its handshake, after which nobody needs to ask.
  TlsStream* tls() { return tls_.get(); }
  // Why TLS has failed, of a connection that has ended; empty: it has not, or there is none. A server that refuses our
  // certificate says so, and closes, when we may have written already: for that, what it said last is read.
  std::string TlsFailureAtEnd() {
    if (!tls_) return {};
    char buffer[TlsStream::kLeastRead];
    if (tls_->failure().empty()) (void)!tls_->Read(buffer, sizeof buffer);
    return tls_->failure();
  }

  // As recv(2). With TLS `size` is at least TlsStream::kLeastRead.
  ssize_t Read(char* buffer, size_t size) {
    return tls_ ? tls_->Read(buffer, size) : ::recv(fd_.get(), buffer, size, 0);
  }
  // As send(2), without SIGPIPE.
  ssize_t Write(std::string_view bytes) {
    if (!tls_) return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    const iovec piece = {const_cast<char*>(bytes.data()), bytes.size()};
    return tls_->Write({&piece, 1});
  }
  // As sendmsg(2).
  ssize_t Write(std::span<iovec> pieces) {
    if (tls_) return tls_->Write(pieces);
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    return ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  }

  // Bytes that were taken, and are not in the kernel yet.
  size_t unsent() const { return tls_ ? tls_->unsent() : 0; }

  // What the poller is to watch for, for an owner who wants to be told of this.
  uint32_t InterestFor(uint32_t wanted) { return tls_ ? tls_->InterestFor(wanted) : wanted; }
  // What the owner is to be told when the poller says this.
  uint32_t OnReady(uint32_t ready) { return tls_ ? tls_->OnReady(ready) : ready; }

  // The peer reads the end behind what was written; it may still be read from.
  void EndWriting() {
    if (tls_) return tls_->EndWriting();
    ::shutdown(fd_.get(), SHUT_WR);
  }
  void Close() {
    if (tls_ && fd_.valid()) tls_->Goodbye();
    tls_.reset();
    fd_.Close();
  }

 private:
  std::unique_ptr<TlsStream> tls_;
  Fd fd_;
};

}  // namespace hive
