#include "common/net/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "common/net/openssl.h"
#include "common/net/poller.h"

namespace hive {
namespace {

// What is on its way between a socket and OpenSSL, within one call.
struct Scratch {
  char received[64 * 1024];
  char plain[TlsStream::kRecordBytes];
  std::string encrypted;
};

Scratch& ThreadScratch() {
  static thread_local const std::unique_ptr<Scratch> scratch = std::make_unique<Scratch>();
  return *scratch;
}

// Cuts pieces into records.
class RecordCutter {
 public:
  explicit RecordCutter(std::span<const iovec> pieces) : pieces_(pieces) {}

  // The next bytes, at most a record's; what is spread over several pieces is put together in `buffer`.
  std::string_view Next(char* buffer) {
    size_t size = 0;
    while (index_ < pieces_.size() && size < TlsStream::kRecordBytes) {
      const std::string_view rest =
          std::string_view(static_cast<const char*>(pieces_[index_].iov_base), pieces_[index_].iov_len).substr(at_);
      const size_t part = std::min(rest.size(), TlsStream::kRecordBytes - size);
      at_ = part == rest.size() ? 0 : at_ + part;
      if (at_ == 0) ++index_;
      if (size == 0 && (part == TlsStream::kRecordBytes || index_ == pieces_.size())) return rest.substr(0, part);
      std::memcpy(buffer + size, rest.data(), part);
      size += part;
    }
    return {buffer, size};
  }

 private:
  const std::span<const iovec> pieces_;
  size_t index_ = 0;
  size_t at_ = 0;  // bytes of that piece that have been given out
};

}  // namespace

// OpenSSL's view of the socket: it reads what Read has received (during the handshake, exactly what it asks for, so
// that nothing is received that it does not take), and writes into a buffer.
struct TlsStream::Bio {
  static int Read(BIO* bio, char* buffer, int size) {
    TlsStream& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (!stream.received_.empty()) {
      const size_t part = std::min(stream.received_.size(), static_cast<size_t>(size));
      std::memcpy(buffer, stream.received_.data(), part);
      stream.received_.remove_prefix(part);
      return static_cast<int>(part);
    }
    ssize_t n = -1;
    errno = EAGAIN;
    if (!stream.established_) n = ::recv(stream.socket_, buffer, static_cast<size_t>(size), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      BIO_set_retry_read(bio);
    } else if (n <= 0) {
      stream.peer_left_ = true;
      stream.Say(n == 0 ? "closed by the peer" : "the connection broke");
    }
    return static_cast<int>(n);
  }

  static int Write(BIO* bio, const char* bytes, int size) {
    const TlsStream& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    std::string& encrypted = ThreadScratch().encrypted;
    if (stream.unsent_.size() + encrypted.size() + static_cast<size_t>(size) > kMostUnsent) return -1;
    encrypted.append(bytes, static_cast<size_t>(size));
    return size;
  }

  static long Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static const BIO_METHOD* Method() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hive socket");
      BIO_meth_set_read(made, Read);
      BIO_meth_set_write(made, Write);
      BIO_meth_set_ctrl(made, Control);
      return made;
    }();
    return method;
  }
};

void TlsStream::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream(const TlsContext& context, const Fd& socket)
    : socket_(socket.get()), ssl_(SSL_new(context.context_.get())) {
  BIO* const bio = BIO_new(Bio::Method());
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  if (context.side() == TlsContext::Side::kServer) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

TlsStream::~TlsStream() = default;

// Keeps the first reason: what follows from it says less.
void TlsStream::Say(std::string_view what) {
  if (failure_.empty()) failure_ = what;
}

TlsStream::Progress TlsStream::Handshake() {
  const int result = SSL_do_handshake(ssl_.get());
  const int error = SSL_get_error(ssl_.get(), result);
  Push();
  if (result == 1) {
    established_ = true;
    return Progress::kDone;
  }
  if (error == SSL_ERROR_WANT_READ) return Progress::kUnderWay;
  if (const long verdict = SSL_get_verify_result(ssl_.get()); verdict != X509_V_OK) {
    Say(std::string("its certificate: ") + X509_verify_cert_error_string(verdict));
  }
  Say(TakeOpensslError());
  ERR_clear_error();
  ended_ = ended_bad_ = cut_ = true;
  return Progress::kFailed;
}

ssize_t TlsStream::Ended() const {
  if (!ended_bad_) return 0;
  errno = EPROTO;
  return -1;
}

ssize_t TlsStream::Read(char* buffer, size_t size) {
  if (ended_) return Ended();
  if (size < kLeastRead) {
    errno = EMSGSIZE;
    return -1;
  }
  Scratch& scratch = ThreadScratch();
  // Of the record whose beginning OpenSSL has, kRecordBytes may come out; of the rest less than is received.
  const ssize_t n = ::recv(socket_, scratch.received, std::min(size - kRecordBytes, sizeof scratch.received), 0);
  if (n < 0) return -1;
  if (n == 0) {
    ended_ = true;
    return 0;
  }
  received_ = {scratch.received, static_cast<size_t>(n)};
  size_t got = 0;
  while (!ended_) {
    const int part = SSL_read(ssl_.get(), buffer + got, static_cast<int>(size - got));
    if (part > 0) {
      got += static_cast<size_t>(part);
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), part);
    if (error == SSL_ERROR_WANT_READ) break;
    ended_ = true;
    ended_bad_ = error != SSL_ERROR_ZERO_RETURN;
    if (ended_bad_) Say(TakeOpensslError());
    ERR_clear_error();
  }
  received_ = {};
  Push();  // an answer to a wish for new keys, or an alert
  if (got > 0) return static_cast<ssize_t>(got);
  if (ended_) return Ended();
  errno = EAGAIN;
  return -1;
}

ssize_t TlsStream::Write(std::span<const iovec> pieces) {
  RecordCutter cutter(pieces);
  size_t taken = 0;
  size_t records = kRecordsPerSend;
  while (Push() && records == kRecordsPerSend) {
    for (records = 0; records < kRecordsPerSend; ++records) {
      const std::string_view bytes = cutter.Next(ThreadScratch().plain);
      if (bytes.empty()) break;
      if (SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) <= 0) {
        ERR_clear_error();
        cut_ = true;
        break;
      }
      taken += bytes.size();
    }
  }
  if (!cut_ && taken > 0) return static_cast<ssize_t>(taken);
  errno = cut_ ? EPIPE : EAGAIN;
  return cut_ || !unsent_.empty() ? -1 : 0;
}

// Sends what is encrypted. False: the kernel does not take all of it, or nothing any more.
bool TlsStream::Push() {
  std::string& fresh = ThreadScratch().encrypted;
  std::string& bytes = unsent_.empty() ? fresh : unsent_;
  if (&bytes == &unsent_) unsent_ += std::exchange(fresh, {});
  ssize_t n = 0;
  if (!bytes.empty() && !cut_) n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN && errno != EINTR) cut_ = true;
  const size_t sent = n > 0 ? static_cast<size_t>(n) : 0;
  if (cut_) {
    fresh.clear();
    std::string().swap(unsent_);
    return false;
  }
  if (&bytes == &fresh) {
    if (sent < fresh.size()) unsent_ = fresh.substr(sent);
    fresh.clear();
  } else if (sent == unsent_.size()) {
    std::string().swap(unsent_);
  } else {
    unsent_.erase(0, sent);
  }
  if (!unsent_.empty()) return false;
  if (std::exchange(ending_, false)) ::shutdown(socket_, SHUT_WR);
  return true;
}

uint32_t TlsStream::InterestFor(uint32_t wanted) {
  wants_reading_ = (wanted & Poller::kReadable) != 0;
  // That the peer has ended the socket does not say again: being writable, which it mostly is, is the wake-up.
  if (!unsent_.empty() || (ended_ && wants_reading_)) wanted |= Poller::kWritable;
  return wanted;
}

uint32_t TlsStream::OnReady(uint32_t ready) {
  // Of one that can take no more, Write is to say so.
  if ((ready & Poller::kWritable) != 0 && !Push() && !cut_) ready &= ~Poller::kWritable;
  if (ended_ && wants_reading_) ready |= Poller::kReadable;
  return ready;
}

void TlsStream::EndWriting() {
  if (!established_ || cut_) return;
  ending_ = true;
  Goodbye();
}

void TlsStream::Goodbye() {
  if (!established_ || cut_ || ended_bad_) return;
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  Push();
}

}  // namespace hive
