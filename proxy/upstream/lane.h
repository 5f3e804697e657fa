// A lane: a connection to the leader's redis that many clients share. All that its riders have to send in a turn of the
// loop goes out with one call; replies come in the order in which commands were sent, and each rider is handed its own.
//
//   rider: Enqueue ─▶ pending_ ─▶ Flush: one writev of what each has to say ─▶ fifo_: {rider, replies to come} ...
//   rider: OnLaneReplies ◀─ slices of what was read, by fifo_
//
// What rides here leaves no trace in the connection (resp::CommandFacts::shareable), so that it does not matter whose
// command was sent before. Riders have the same user, database and protocol version (Settings::MeansTheSame). A lane
// knows nothing of commands: only where replies end.
//
// A rider that is slow to read, or gone, holds up nobody: it takes what is its own, or what is its own is dropped.
//
// Thread rule: the poller's thread.
// Lifetime: not to be destroyed from within its callbacks. Riders leave before they are destroyed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/poller.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/upstream/link.h"

namespace hive::proxy {

class Lane final : private Link::Owner {
 public:
  // Pieces, one of a rider each, that are written with one call.
  static constexpr size_t kPiecesPerWrite = 64;
  // A reply that is larger keeps others waiting for milliseconds.
  static constexpr size_t kClogBytes = 1024 * 1024;

  // A client on the lane.
  class Rider {
   public:
    // What it has to send at this moment; empty: nothing. Valid until OnLaneSent.
    virtual std::string_view LaneBytes() = 0;
    // All of that is on its way. Returns how many replies are to come.
    virtual uint32_t OnLaneSent(size_t bytes) = 0;
    // It is in the queue no more: what LaneBytes did not give must be enqueued again.
    virtual void OnLaneFlushed() = 0;
    // The next bytes of the replies to its commands. `plain`: these are exactly so many whole replies, none of them an
    // error; 0: nothing of that kind is known.
    virtual void OnLaneReplies(std::string_view bytes, uint32_t plain) = 0;
    // The connection has ended while it had replies to come. `crashed`: by itself. `oldest`: the oldest command in
    // flight was this rider's.
    virtual void OnLaneEnded(bool crashed, bool oldest) = 0;
    // The server does not let the lane be what its riders are: the user is gone, or has another password.
    virtual void OnLaneRefused(std::string_view error) = 0;

    // The lane's own: where this rider stands.
    uint32_t lane_in_flight = 0;  // replies to come
    bool lane_queued = false;

   protected:
    ~Rider() = default;
  };

  // The event loop.
  class Host {
   public:
    // Whether the redis of this lane is the leader's, and has shown itself a master since it last closed a connection.
    virtual bool LaneMayConnect() const = 0;
    // Flush() is to be called at the end of this turn.
    virtual void OnLaneDirty(Lane& lane) = 0;
    // Redis has answered something.
    virtual void OnLaneAnswered(const Lane& lane) = 0;
    // The connection could not be made, or broke. kResourceExhausted: for want of something here, not by redis.
    virtual void OnLaneBroken(const absl::Status& why) = 0;
    // Of an anonymous lane: wants_authentication() is known.
    virtual void OnLaneLearnedAuthentication(const Lane& lane) = 0;
    // A buffer that nobody else uses while replies are handed out.
    virtual std::span<char> lane_buffer() = 0;

   protected:
    ~Host() = default;
  };

  struct Options {
    Endpoint redis = {};
    std::string preamble = {};      // commands that make the connection what its riders are
    uint32_t preamble_replies = 0;  // to them, none of which may be an error
    bool anonymous = false;         // its riders have not authenticated: find out whether they would have to
    Duration unacknowledged_limit = {};
    int descriptors_below = std::numeric_limits<int>::max();  // as for ConnectTcp
  };

  Lane(const Transport& transport, Host& host, Options options);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void Join(Rider& rider);
  // Replies to come for it are dropped.
  void Leave(Rider& rider);
  size_t riders() const { return riders_; }
  // Whether a reply is coming that is larger than kClogBytes: who has a choice takes another lane meanwhile.
  bool clogged() const { return reply_bytes_ > kClogBytes; }

  // Whether the server refuses what riders send, since they have not authenticated; nothing: not known yet. Redis has
  // decided so when the connection was made, whatever it may want of those that are made now.
  std::optional<bool> wants_authentication() const { return wants_authentication_; }
  // Whether its connection was made no earlier than this (ReadMonotonicClock), or is yet to be made.
  bool IsMadeSince(Instant since) const { return !link_ || made_at_ >= since; }

  // The rider has something to send.
  void Enqueue(Rider& rider);
  // Writes what the queue has; connects first when need be. Only when the host has been told OnLaneDirty, since what
  // may be sent is decided then.
  void Flush();

  // The leader has handed over: nothing new is sent, but what is in flight is still answered.
  void BecomeFormer();
  bool former() const { return former_; }
  bool has_in_flight() const { return !fifo_.empty(); }
  // Whether there is a connection, or one is being made.
  bool has_link() const { return link_ != nullptr; }
  // Whether it is connected to the very server that has shown itself a master.
  bool proven() const { return proven_; }
  // Another leader has been elected: the connection is cut.
  void Cut();

 private:
  struct Entry {
    Rider* rider;    // null: it has left
    uint32_t count;  // replies to come
  };

  void OnLinkUp() override;
  void OnLinkReadable() override;
  void OnLinkWritable() override { FlushSoon(); }
  void OnLinkDown(const absl::Status& why) override { Broken(why); }

  // At the end of this turn, when the host knows what may be sent.
  void FlushSoon();
  void Connect();
  bool ready() const { return link_ && link_->up() && preamble_left_ == 0; }
  bool FlushTail();
  bool FlushSome();
  void NoteSent(Rider& rider, size_t bytes);
  void EmptyQueue();

  size_t Distribute(std::string_view bytes);
  size_t TakeUnasked(std::string_view bytes);
  void TakePreambleReply(const resp::Reply& reply);
  void Broken(const absl::Status& why);
  void Disconnect();
  void End(bool crashed);
  void Refused(std::string_view error);

  const Transport transport_;
  Host& host_;
  const Options options_;

  std::unique_ptr<Link> link_;
  std::unique_ptr<Link> ended_;  // the one before, which may be in a callback; gone with the next one
  Instant made_at_{};            // when the link was begun
  uint32_t preamble_left_ = 0;   // replies to come
  std::optional<bool> wants_authentication_;
  size_t riders_ = 0;
  bool former_ = false;
  bool proven_ = false;
  bool dirty_ = false;

  std::vector<Rider*> pending_;  // who has something to send; null: has left
  std::vector<Rider*> flushed_;  // kept for its capacity
  std::string tail_;             // of what counts as sent, but was not taken by the kernel
  std::deque<Entry> fifo_;
  resp::ReplyScanner scanner_;
  size_t reply_bytes_ = 0;  // of the reply at the front, as far as it has come, or is known to
  std::string kept_;        // the beginning of a line of a reply
};

}  // namespace hive::proxy
