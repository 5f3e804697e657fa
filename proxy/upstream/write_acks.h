// Asks the leader's redis how many replicas have what it has written (--write-acks): one connection, one question at a
// time, for all who wait (group commit).
//
//   reply to a write ─▶ Join ─▶ next_ ─┐ the round under way ends
//                                      ▼
//             OnAckRoundBegins ◀─ PUBLISH + WAIT ─▶ OnAckRoundEnds ─▶ the reply is passed on, or -UNCONFIRMED in its
//             place
//
// WAIT covers what its own connection wrote last. So each round writes first: it publishes nothing, on a channel that
// nobody has subscribed to. That is behind every write whose reply had been read when the round began, and replicas
// confirm in order. SPUBLISH where the server has it, since PSUBSCRIBE * would see a PUBLISH.
//
// When leadership is handed over, whoever waits (inherited_) may be confirmed by the new leader's replicas just as
// well, if the new leader has it all: which is so once the former leader's redis has resynchronised with it partially.
// That one is asked until it says so (replication_id.h); else they are never told, and give up by themselves.
//
// Of a waiter it knows nothing: it is a client, whether it writes on a lane or on a link of its own.
//
// Thread rule: the poller's thread. One per event loop.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "common/base/duration_histogram.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/poller.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/upstream/control_link.h"
#include "proxy/upstream/replication_id.h"

namespace hive::proxy {

// How a round ended.
struct AckResult {
  bool given = false;  // as many replicas as were asked for
  int confirmed = 0;   // how many did
};

class WriteAcks {
 public:
  static constexpr std::string_view kChannel = "__hive:write-acks";
  // A round answered this much later than WAIT's own timeout is not answered: redis or the connection is gone, and so
  // is the time that replicas had.
  static constexpr Duration kAnswerGrace = Millis(500);
  // Between two attempts at a connection.
  static constexpr Duration kRetryDelay = Millis(20);
  // How often the redis of a leader that has handed over is asked whether its successor has it all: it is told to
  // resynchronise within milliseconds.
  static constexpr Duration kFormerDelay = Millis(5);
  // A master without replicas takes a new id when the first one comes: so its id is read again with a round when what
  // is known is older than this.
  static constexpr Duration kHistoryAge = Millis(100);
  // Between two complaints in the log.
  static constexpr Duration kComplaintInterval = Seconds(10);

  class Waiter {
   public:
    // What has been written by now is covered by the round that begins.
    virtual void OnAckRoundBegins() = 0;
    // It is over; the waiter has left, and may join again.
    virtual void OnAckRoundEnds(const AckResult& result) = 0;

    // WriteAcks's own: where this waiter stands.
    std::list<Waiter*>* ack_list = nullptr;
    std::list<Waiter*>::iterator ack_at;

   protected:
    ~Waiter() = default;  // Leave first
  };

  struct Options {
    int replicas = 1;               // that must confirm, at least 1
    Duration timeout = Seconds(1);  // that they have for it
    ControlLink::Credentials credentials;
  };

  // `leader_refused`: redis says that it does not lead (any more).
  WriteAcks(const Transport& transport, Options options, std::function<void()> leader_refused);

  // From now on this redis is asked. `handed_over`: who waited for the one before may be confirmed yet, for as long as
  // ForgetFormer is not called; else they must Leave, and are never told.
  void SetLeader(const Endpoint& redis, bool handed_over);
  void ForgetFormer();
  // Redis 7: there is SPUBLISH.
  void UseShardedPublish(bool use) { sharded_publish_ = use; }

  // Waits for the next round. Harmless when it waits already.
  void Join(Waiter& waiter) { Add(next_, waiter); }
  // Of a write to the redis of the leader that has handed over.
  void JoinFormer(Waiter& waiter) { Add(inherits_ ? next_ : inherited_, waiter); }
  void Leave(Waiter& waiter);

  // How long rounds took, from the first attempt to the last replica's word, or to the time-out.
  const DurationHistogram& rounds() const { return rounds_; }

 private:
  enum class Asked : uint8_t { kInfo, kPublish, kWait };

  void Add(std::list<Waiter*>& list, Waiter& waiter);
  void MoveAll(std::list<Waiter*>& from, std::list<Waiter*>& to);
  void BeginSoon();
  void Begin();
  void OnUp();
  void AskHistory(std::string* requests);
  void OnReply(const resp::Reply& reply);
  void End(const AckResult& result);
  void Broken(const std::string& why);
  void GiveUp();
  void Complain(const std::string& why);

  void AskFormer();
  void OnFormerReply(const resp::Reply& reply);

  const Transport transport_;
  const Options options_;
  const std::function<void()> leader_refused_;
  Endpoint redis_;
  bool sharded_publish_ = false;

  std::list<Waiter*> next_;     // for the next round
  std::list<Waiter*> current_;  // in the round under way
  bool under_way_ = false;
  DurationHistogram rounds_;
  Instant asks_since_{};  // when the round under way, or to be begun again, was first begun; 0: none is

  ControlLink link_;
  ReplicationId history_;  // of the leader's redis, as a master; empty before it has said so
  Instant history_read_{};
  std::deque<Asked> asked_;
  bool connecting_ = false;

  std::list<Waiter*> inherited_;  // who waited for the leader before
  bool inherits_ = false;         // ... whose history is part of this one's
  ControlLink former_;
  std::string written_under_;  // id of the history that the former leader wrote

  Timer begin_;  // at the end of the loop's turn: whoever joins within it is in the same round
  Timer guard_;
  Timer ask_former_;
  Instant next_complaint_{};
};

}  // namespace hive::proxy
