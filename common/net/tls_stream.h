// TLS on a non-blocking socket, read and written like the socket itself: see Stream, which hides whether there is any.
//
//   Read:  one recv, and all that it brought is decrypted: nothing readable stays behind for which the socket would
//          not be ready. (Only that the peer has ended may be known, and not told yet: InterestFor sees to it.)
//   Write: what is taken is encrypted, and then either in the kernel or in unsent(); nothing is taken while there is
//          some. So what has not been taken may be forgotten, or be something else next time.
//
// Buffers are the thread's, so that an idle connection has none of its own. Reading never waits for writing, nor the
// other way round: OpenSSL writes into our buffer, and does not renegotiate.
//
// Thread rule: one thread. Lifetime: the socket outlives the stream.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/net/fd.h"
#include "common/net/tls_context.h"

namespace hive {

class TlsStream {
 public:
  // RFC 8446, 5.1: what a record carries at most.
  static constexpr size_t kRecordBytes = 16 * 1024;
  // The buffer given to Read is at least so large: one record more may come out than was received for it.
  static constexpr size_t kLeastRead = 2 * kRecordBytes;
  // Records that are sent with one call.
  static constexpr size_t kRecordsPerSend = 4;
  // Answers to a peer that asks for new keys over and over and does not read them: then it is cut.
  static constexpr size_t kMostUnsent = 2 * kRecordsPerSend * kRecordBytes;

  enum class Progress { kUnderWay, kDone, kFailed };

  TlsStream(const TlsContext& context, const Fd& socket);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // One step, whenever the socket is ready as InterestFor says; nothing else before it is done. Costs the better part
  // of a millisecond of CPU. kFailed: see failure(); the peer has been told as far as it can be.
  Progress Handshake();
  // Why it failed, or Read did with EPROTO, in a few words: "wrong version number", "its certificate: unable to get
  // local issuer certificate". Of a server that refuses a client's certificate in TLS 1.3, Read is the first to know.
  const std::string& failure() const { return failure_; }
  // ... and whether it was for nothing but that the peer has gone.
  bool peer_left() const { return peer_left_; }

  // As recv(2), of the plaintext: 0 when the peer has ended, with or without saying so; -1 with errno, EAGAIN when
  // there is nothing; EPROTO: what came is no TLS, or was changed on the way; EMSGSIZE: `size` is below kLeastRead.
  ssize_t Read(char* buffer, size_t size);
  // As send(2) and sendmsg(2): how much was taken. After less than all, more is when the socket is writable.
  ssize_t Write(std::span<const iovec> pieces);

  // Bytes, encrypted, that the kernel has yet to take. To be awaited before the socket is closed.
  size_t unsent() const { return unsent_.size(); }

  // What to watch the socket for, so that the owner is told of what it wants to be (Poller's bits) ...
  uint32_t InterestFor(uint32_t wanted);
  // ... and what the owner is to be told when the socket is ready like this.
  uint32_t OnReady(uint32_t ready);

  // Tells the peer that nothing follows, and shuts this direction of the socket.
  void EndWriting();
  // Likewise, if it can be done now: the socket is about to be closed.
  void Goodbye();

 private:
  struct Bio;
  struct Free {
    void operator()(ssl_st* ssl) const;
  };

  void Say(std::string_view what);
  bool Push();
  ssize_t Ended() const;

  const int socket_;
  std::unique_ptr<ssl_st, Free> ssl_;
  std::string_view received_;  // what OpenSSL has yet to take of what Read has received
  std::string unsent_;
  std::string failure_;
  bool established_ = false;
  bool peer_left_ = false;
  bool wants_reading_ = false;
  bool ending_ = false;     // the socket is shut once all is sent
  bool cut_ = false;        // the socket can take no more
  bool ended_ = false;      // nothing more is to be read
  bool ended_bad_ = false;  // ... since what came was no TLS
};

}  // namespace hive
