// One event loop: its clients, its listening sockets, and what it knows of the leader. A thread each; loops share
// nothing but the count of clients, and never wait for one another.
//
// A turn: sockets that are ready (each client reads once, and writes what it read with one call), then messages from
// other threads (the leader has changed), then timers; what was closed is freed at the end.
//
// Thread rule: the thread that calls Run(), except SetLeader, Part, Tell and Stop, which any thread may call.
#pragma once

#include <algorithm>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/net/fd.h"
#include "common/net/poller.h"
#include "common/net/splice_pipe.h"
#include "proxy/leader/leader_view.h"
#include "proxy/resp/command_facts.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/resp/request_scanner.h"
#include "proxy/session/seen_scripts.h"
#include "proxy/session/session.h"
#include "proxy/session/settings.h"
#include "proxy/upstream/authentication_check.h"
#include "proxy/upstream/lane.h"
#include "proxy/upstream/leader_probe.h"
#include "proxy/upstream/link.h"
#include "proxy/upstream/script_loader.h"
#include "proxy/upstream/write_acks.h"
#include "proxy/worker/acceptor.h"
#include "proxy/worker/client.h"
#include "proxy/worker/drain.h"
#include "proxy/worker/former_feed.h"
#include "proxy/worker/handshakes.h"
#include "proxy/worker/limits.h"
#include "proxy/worker/memory.h"
#include "proxy/worker/tally.h"

namespace hive::proxy {

class EventLoop final : private Lane::Host {
 public:
  // `listeners`: one per address, of this loop's own (SO_REUSEPORT). `counters` outlives the loop.
  EventLoop(WorkerOptions options, std::vector<Fd> listeners, SharedCounters& counters);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void Run() { poller_.Run(); }

  // --- any thread ---
  void SetLeader(LeaderSnapshot snapshot);
  // Towards the end: see Client::Part. After kEveryone nobody is accepted.
  void Part(DrainStage stage);
  // For /metrics: `listener` is told on the loop's thread. A loop that is stuck, or stopped, never does.
  void Tell(std::function<void(const LoopReport&)> listener);
  void Stop() { poller_.Stop(); }

  // --- for clients ---
  Poller& poller() { return poller_; }
  Instant now() const { return poller_.Now(); }
  const WorkerOptions& options() const { return options_; }
  // For a client's own link.
  Transport link_transport() { return {poller_, options_.redis_tls.get(), &link_handshakes_}; }
  // A buffer that is free between two calls of a handler: nobody's bytes stay in it.
  std::span<char> read_buffer() { return read_buffer_; }
  // The same of what need not be looked at; null: there are no descriptors for it.
  SplicePipe* splice_pipe() { return splice_pipe_.valid() ? &splice_pipe_ : nullptr; }
  // For clients that are between two commands, or two replies; between two calls of a handler they are in the middle of
  // none.
  resp::RequestScanner& request_scanner() { return request_scanner_; }
  resp::ReplyScanner& reply_scanner() { return reply_scanner_; }
  const resp::CommandTable& commands() const { return *commands_; }
  // As the table has it, except for what --allow-admin permits.
  resp::CommandFacts FactsOf(const resp::Request& request) const;
  // As of the leader's redis.
  const resp::RequestLimits& request_limits() const { return request_limits_; }

  // What may be sent, and confirmed, at this very moment: reads the clock, since a turn may have been interrupted for
  // longer than a lease.
  Gates gates() const;
  bool may_confirm_writes() const;
  // The same for what the former leader's redis still answers after it has handed over.
  bool may_confirm_former_writes() const;
  const Leadership& leader() const { return linked_; }
  // The leader's redis says that it does not lead: it must show itself a master again.
  void SuspectLeader();
  // It has closed a connection, or could not be reached: it may have ended, and what listens there now be another one,
  // which must show itself a master before anything new is connected to it. What is connected is connected to the one
  // that has: that one client's connection was closed is no reason for others to wait.
  void SuspectNewConnections();
  bool may_connect() const { return trusts_new_ && !snapshot_.leader.empty(); }
  // Whether a client may try to open a link of its own. Not once this turn has shown that there is no room for any:
  // those who wait for one are many, and try again on the next tick.
  bool may_open_links() const { return exhausted_at_ != now(); }
  // A connection to redis could not be made for want of something here: says nothing about redis.
  void NoteExhausted(const absl::Status& why);
  // The leader's redis has answered somebody.
  void NoteAnswer() { last_answer_ = now(); }
  Instant last_answer() const { return last_answer_; }
  // When the leader before this one's last did.
  void NoteFormerAnswer() { former_last_answer_ = now(); }
  // Null when --write-acks is 0.
  WriteAcks* acks() { return acks_.get(); }
  Instant former_last_answer() const { return former_last_answer_; }

  // The lane for clients with these settings, to the leader's redis. For who has not authenticated, `visitor` matters,
  // and is told what is learned; null: it must wait (Resume follows), or take a connection of its own (kUnclear).
  Lane* LaneFor(const Settings& settings, Visitor& visitor);
  // Gates as of this flush of the lanes.
  const Gates& flush_gates() const { return flush_gates_; }
  Duration unacknowledged_limit() const { return std::max(options_.hold_timeout, kLeastUnacknowledged); }
  // What the server says to who connects now, or has since that client came; kNotKnown: Resume follows.
  Welcome WelcomeOf(const Visitor& visitor);
  // Whether the server lets clients in that do not authenticate, as far as anybody here has seen of late.
  bool lets_anyone_in() const { return lets_anyone_in_; }

  // A client says ACL or CONFIG: the default user may have a password now.
  void NoteAccessChange() { authentication_check_.BeExact(); }
  // What clients have given the leader's redis, and the next one must be given.
  SeenScripts& scripts() { return scripts_; }

  MemoryBounds& memory() { return memory_; }
  Tally& tally() { return tally_; }
  void NoteCommand(resp::Effect effect) { ++tally_.commands[static_cast<size_t>(effect)]; }
  // So many commands have been answered together, the oldest of which was sent at that moment: all count as it does.
  void NoteAnswered(Instant sent_at, size_t commands) { tally_.durations.Note(now() - sent_at, commands); }
  // Whether what is not sent waits for a leader, or for the right to write.
  bool holds() const { return !may_connect() || !snapshot_.MayWrite(now()); }
  void SetWaiting(Client* client, bool waiting);
  // Freed at the end of the turn. The client is closed.
  void Retire(Client* client);
  void Retire(std::unique_ptr<Link> link) { retired_links_.push_back(std::move(link)); }
  void Retire(std::unique_ptr<FormerFeed> feed) { retired_feeds_.push_back(std::move(feed)); }

  // --- for the acceptor ---
  // Counts one more client, unless there are --max-clients already. Then TakeIn.
  bool Admit();
  // Whether there is room for one more to begin with.
  bool MayTakeIn() { return !handshakes_ || handshakes_->MayBegin(); }
  // Who was admitted becomes a client, with TLS behind its handshake.
  void TakeIn(Fd socket);
  bool speaks_tls() const { return handshakes_ != nullptr; }

  // --- for handshakes ---
  void AddClient(Stream socket);
  // Who was admitted becomes no client.
  void Dismiss() { counters_.clients.fetch_sub(1, std::memory_order_relaxed); }

 private:
  void OnLeader(const LeaderSnapshot& snapshot);
  void MoveToLeader(const LeaderSnapshot& snapshot);
  void OnMaster();
  void Verified();
  void NoteWritable();
  LoopReport Report() const;
  void OnCommands(std::shared_ptr<const resp::CommandTable> commands);
  void ReleaseWaiting();
  void ReleaseSome();
  void TickWaiting();
  void EndOverdue();
  void FreeRetired();
  void BeforeSleep();
  void FlushLanes();
  void MoveLanes(bool handed_over);
  void SweepLanes();
  void ShedIdle();
  Lane* FindLane(const Settings& settings, const Visitor& visitor) const;
  void OnCrowdedTick();
  void MakeRoom(bool only_who_keeps_it);

  bool LaneMayConnect() const override { return may_connect(); }
  void OnLaneDirty(Lane& lane) override { dirty_lanes_.push_back(&lane); }
  void OnLaneAnswered(const Lane& lane) override;
  void OnLaneBroken(const absl::Status& why) override;
  void OnLaneLearnedAuthentication(const Lane& lane) override { lets_anyone_in_ = !*lane.wants_authentication(); }
  std::span<char> lane_buffer() override { return read_buffer_; }

  const WorkerOptions options_;
  SharedCounters& counters_;
  Poller poller_;
  HandshakeBudget link_handshakes_;
  const Transport transport_;  // of lanes and of the loop's own connections
  std::vector<char> read_buffer_;
  SplicePipe splice_pipe_;
  resp::RequestScanner request_scanner_;
  resp::ReplyScanner reply_scanner_;
  std::shared_ptr<const resp::CommandTable> commands_;
  resp::RequestLimits request_limits_;

  LeaderSnapshot snapshot_;  // what the watch says
  Leadership linked_;        // whose redis clients are linked to: the latest leader, even while there is none
  bool verified_ = false;    // ... and it has said that it is a master
  bool trusts_new_ = false;  // ... since a connection to it was last closed
  Instant last_answer_{};
  Instant former_last_answer_{};
  Instant exhausted_at_{};
  Instant next_complaint_{};
  LeaderProbe probe_;
  std::unique_ptr<WriteAcks> acks_;
  SeenScripts scripts_;
  ScriptLoader script_loader_;
  bool scripts_due_ = false;  // it does not have them yet
  Timer patience_;            // with the former leader's redis, after a handover

  struct KeyedLane {
    Settings key;
    std::unique_ptr<Lane> lane;
  };
  std::vector<KeyedLane> lanes_;                     // to the leader's redis; few
  std::vector<std::unique_ptr<Lane>> former_lanes_;  // to the one before
  std::vector<std::unique_ptr<Lane>> retired_lanes_;
  std::vector<Lane*> dirty_lanes_;
  Gates flush_gates_;
  Timer sweep_;
  Timer shed_;
  AuthenticationCheck authentication_check_;
  bool lets_anyone_in_ = false;

  Tally tally_;
  Instant writable_until_{};                  // when the right to write to the leader has ended, or did the last time
  std::optional<Instant> switching_since_{};  // that moment, while there is another leader that has not got it
  MemoryBounds memory_;
  Timer crowded_;
  Instant next_memory_complaint_{};
  DrainStage parting_ = DrainStage::kServing;
  std::vector<std::unique_ptr<Client>> clients_;
  std::list<Client*> waiting_;    // in the order in which they began to wait
  std::list<Client*> releasing_;  // of those, the ones that may go on
  std::vector<Client*> ticked_;   // kept for its capacity
  Instant confirmable_until_{};   // when the right to confirm writes ends, or has ended
  Timer overdue_;                 // --hold-timeout after that
  Timer tick_;
  Timer release_;
  std::vector<Client*> retired_clients_;
  std::vector<std::unique_ptr<Link>> retired_links_;
  std::vector<std::unique_ptr<FormerFeed>> retired_feeds_;
  std::unique_ptr<Handshakes> handshakes_;  // null: plaintext
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
};

}  // namespace hive::proxy
