// One connection to the leader's redis: its socket, with or without TLS, and nothing of what travels over it.
//
// A client's own connection, a lane's and the proxy's control connections are links.
//
// Thread rule: the poller's thread.
// Lifetime: the owner may let go of a link (by Retire-ing it until the end of the turn) from within the callbacks.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/base/endpoint.h"
#include "common/net/poller.h"
#include "common/net/socket.h"
#include "common/net/splice_pipe.h"
#include "common/net/stream.h"
#include "proxy/upstream/transport.h"

namespace hive::proxy {

class Link final : private Poller::Handler {
 public:
  class Owner {
   public:
    virtual void OnLinkUp() = 0;
    virtual void OnLinkReadable() = 0;
    virtual void OnLinkWritable() = 0;
    // It could not be established, or broke. Also told by Read and Write, in their return value only.
    virtual void OnLinkDown(const absl::Status& why) = 0;

   protected:
    ~Owner() = default;
  };

  Link(const Transport& transport, Owner& owner) : transport_(transport), owner_(&owner) {}
  ~Link() { Close(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Begins to connect; OnLinkUp or OnLinkDown follows in a later turn. An error: it is down already, nothing follows;
  // kResourceExhausted: for want of something here, which says nothing about redis. `below`: as for ConnectTcp.
  [[nodiscard]] absl::Status Connect(const Endpoint& redis, int below = std::numeric_limits<int>::max());

  // From now on it is down when the server's host has acknowledged nothing of what was sent for so long.
  void SetUnacknowledgedLimit(Duration limit) { hive::SetUnacknowledgedLimit(stream_.fd(), limit); }

  // From now on another is told what happens.
  void SetOwner(Owner& owner) { owner_ = &owner; }

  bool up() const { return up_; }
  // Whether it waits for the server's part of a TLS handshake.
  bool shakes_hands() const { return connected_ && !up_ && stream_.encrypted(); }

  // Of at least kLeastRead bytes. As read(2): 0 when the server has closed, -1 with errno. A server that closes without
  // reading what was sent makes the kernel answer ECONNRESET: the link is down either way.
  static constexpr size_t kLeastRead = TlsStream::kLeastRead;
  ssize_t Read(char* buffer, size_t size);
  // Why it is down, when Read or Write has told so.
  std::string WhyItEnded();
  // As write(2), never raises SIGPIPE. After less than all, OnLinkWritable follows.
  ssize_t Write(std::string_view bytes);
  // The same of several pieces, `total` bytes in all, with one call.
  ssize_t WriteAll(std::span<iovec> pieces, size_t total);

  // The same of what is in the pipe, if `takes_pipes`.
  ssize_t Write(SplicePipe& pipe);
  bool takes_pipes() const { return !stream_.encrypted(); }
  // About how many bytes would be taken now.
  size_t room() const { return SendRoom(stream_.fd()); }

  // Whether to be told OnLinkReadable. While paused the server's closing is not noticed, unless it broke.
  void SetReading(bool reading);

  // Closes at once; nothing follows.
  void Close();

 private:
  void OnReady(uint32_t ready) override;
  void Establish();
  void Fail(const absl::Status& why);
  void UpdateInterest();
  ssize_t Written(ssize_t n, size_t total);

  const Transport transport_;
  Owner* owner_;
  Endpoint redis_;
  Stream stream_;
  uint32_t interest_ = 0;
  bool connected_ = false;  // and the handshake is under way, or over
  bool up_ = false;
  bool reading_ = true;
  bool blocked_ = false;  // the last Write took less than all
};

}  // namespace hive::proxy
