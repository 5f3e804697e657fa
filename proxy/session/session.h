// What one client's connection means: the commands it waits for, the state it has built up on the server, and what
// becomes of both when the leader changes. PURE: events in, decisions out; no socket, no clock.
//
// A session keeps a queue of the client's commands, oldest first:
//
//   answered | sent, reply awaited ... | not sent: held, or the link is busy ...
//
// and the bytes of those that are small enough, so that they can be sent again to the next leader when they were
// certainly not executed, or may be executed twice. Commands that it answers itself (refused ones, lost transactions,
// QUIT) stand in the same queue, so that every reply keeps its place.
//
// What is certain is the whole point. A command that may have been executed, and writes, is never sent twice: its
// client's connection is closed instead, as redis itself would do by dying. The full table is in docs/proxy.md, "When
// the leader changes"; tests/unit/proxy/session/leader_change_test.cc has a test per cell.
//
// Thread rule: one thread per session. No allocation per command for a client that does not pipeline deeply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/time.h"
#include "proxy/resp/command_facts.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/resp/request_scanner.h"
#include "proxy/session/byte_queue.h"
#include "proxy/session/fifo.h"
#include "proxy/session/seen_scripts.h"
#include "proxy/session/settings.h"
#include "proxy/session/transaction.h"

namespace hive::proxy {

// A leader that has owed a reply for so long, and has answered nobody meanwhile, has stopped answering: what it was
// asked last may be what stopped it. Below the shortest silence that can depose a leader (leader_timeout, 1 s).
inline constexpr Duration kStoppedAnswering = Millis(500);

// The shortest time that a blocking command is given on a new leader: 0 would mean for ever.
inline constexpr Duration kLeastTimeLeft = Millis(1);

// What may be sent now. Set by the event loop from what it knows of the leader.
struct Gates {
  bool leader = false;  // there is a leader, and its redis has said that it is a master
  bool writes = false;  // ... and it may be written to: write state OPEN, the lease runs
  bool reads = false;   // ... and it may be read from: leadership is not about to move (HOLD)
};

// The connection to the leader's redis that a client's next command must take.
enum class Route : uint8_t {
  kNone,    // none: there is nothing to send, or to listen for
  kShared,  // a lane will do; so will a connection of its own
  kOwn,     // a connection of its own
};

// Whether the client may be told that a write was done.
enum class Confirmation : uint8_t {
  kNoLease,  // no: another leader may have been elected, that never saw it
  kAwaited,  // not yet: replicas have not said that they have it (--write-acks)
  kGiven,    // yes
  kTooFew,   // fewer replicas than asked for have said so in time
  kNeither,  // the same, and there is no lease: all that may be said of a write is that it may not last
};

// How a link came to its end.
enum class LinkEnd : uint8_t {
  kCrashed,   // the server closed it, or it failed
  kCut,       // the proxy cut it: another leader has been elected
  kDemoted,   // the proxy cut it: the server refused everything that was in flight, since it no longer leads
  kNotReady,  // it never came to be: nothing was sent on it
};

// What to do with a reply.
enum class ReplyAction : uint8_t {
  kNeedMore,     // cannot tell before more of the reply is there
  kRelay,        // pass it on
  kSwallow,      // drop it
  kReplace,      // pass Session::replacement() on in its place
  kUnconfirmed,  // pass on in its place that too few replicas have confirmed it
  kWithhold,     // keep it, and everything behind it, and ask again when a lease runs and replicas have confirmed
  kDropLink,     // drop it, end the link (LinkEnd::kDemoted), and send again what it did not execute to the next leader
  kClose,        // close the client
};

struct ReplyDecision {
  ReplyAction action = ReplyAction::kRelay;
  // The server says that it does not lead (or not yet): it must show ROLE = master again before anything is sent to it.
  bool leader_refused = false;
};

// The beginning of a reply, or all of it.
struct ReplyHead {
  char type = 0;           // of resp::ReplyScanner
  std::string_view bytes;  // as much as is there, the reply's first byte in front
  std::string_view error;  // the text of an error without type byte and line end, when complete
  bool complete = false;
};

// A command too large to be kept is relayed piece by piece: what to do with its bytes.
enum class BodyState : uint8_t {
  kNone,        // no such command
  kWaiting,     // its turn has not come: read no more from the client
  kSending,     // its turn: send the bytes as they come
  kDiscarding,  // it will not be sent, but its bytes must be read past
};

// Whether a reply is a message of a subscription.
bool IsMessage(std::string_view reply);

class Session {
 public:
  Session() = default;
  // `scripts`: is told of those that the server has taken; null: nobody is.
  explicit Session(SeenScripts* scripts) : scripts_(scripts) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // --- the client's commands ---

  // Takes a whole command, keeping a copy of its bytes. `facts.certain` must hold. `keep`: false when --hold-memory is
  // used up, and not MaySendAtOnce; then it is answered with an error.
  void Add(const resp::Request& request, const resp::CommandFacts& facts, bool keep, Instant now);

  // Whether a command like that, taken now, would wait for nothing but its turn.
  bool MaySendAtOnce(const resp::CommandFacts& facts, const Gates& gates) const;

  // The same of a command by a plain rule (resp::CommandRule::plain), outside of a transaction, with memory left.
  // False: it is not taken, use Add.
  bool AddPlain(std::string_view bytes, resp::Effect effect, Instant now);

  // Takes the beginning of a command that is too large to be kept. No other command may follow before BodyEnded().
  void AddStreamed(const resp::Request& head, const resp::CommandFacts& facts, Instant now);
  // `gates`: as for ToSend; its turn may have come.
  BodyState body(const Gates& gates);
  void BodyEnded(Instant now);
  bool body_waits() const { return body_ == BodyState::kWaiting; }
  bool body_begun() const { return body_ != BodyState::kNone; }

  // The client's `bytes` are no commands from here on: `reply` behind all other replies, then the end.
  void AddProtocolError(std::string reply, std::string_view bytes, Instant now);

  // A command made the connection end: QUIT, or what cannot be answered in its place. Nothing behind it is to be read.
  bool last_command_taken() const { return last_command_taken_; }

  // --- replies in the server's place ---

  // Replies that are due now, in order, in front of anything that the server sends from here on. Consume them.
  ByteQueue& local_replies() { return local_replies_; }
  // QUIT was answered: close once everything has been sent to the client.
  bool finished() const { return finished_; }
  // The server has what it answers by closing: an opaque connection's QUIT, for one.
  bool awaits_end() const { return opaque_ && last_command_taken_ && queue_.empty(); }
  // It closes the connection on this client's account.
  bool server_ends() const { return awaits_end() || protocol_error_told_; }
  // Replies are not told apart any more: nobody knows whether one is to come.
  bool opaque() const { return opaque_; }
  // The client is to be closed: its connection can no longer be given the meaning that it had.
  bool broken() const { return broken_; }

  // --- the connection to the leader's redis: a link of its own, or a lane that it shares ---

  // What is next needs.
  Route NextRoute() const;
  // Whether the connection it has can be changed for another one: nothing is in flight, and the server holds nothing
  // for this client that a new connection would have to be told (but for its settings).
  bool MayMove() const;
  // Whether it could, once everything in flight has been answered and nothing more is sent.
  bool MayMoveOnceAnswered() const;
  // A link is up: what makes it mean the same as the client's last one is sent first.
  void LinkOpened();
  // A lane is up that means the same.
  void LaneJoined();
  // MayMove() held: the connection is another's now, or gone.
  void Left();
  bool link_up() const { return link_up_; }
  bool on_lane() const { return on_lane_; }
  // Whether the connection means what the one before it meant, subscriptions included.
  bool restored() const { return link_up_ && !replay_; }
  // Whether everything in flight may be asked once more, elsewhere, without anyone noticing: whole replies to reads.
  bool MayAskAgain() const;
  // What may be sent now, of at most `commands` commands; empty when nothing may. Valid until any other call.
  static constexpr uint32_t kAnyNumber = 0xffffffff;
  std::string_view ToSend(const Gates& gates, uint32_t commands = kAnyNumber);
  // Whether the oldest command in flight has been so for `patience`, and for the time that it may block by its own
  // timeout besides. `withheld`: its reply has come, and is kept.
  bool Overdue(Duration patience, bool withheld, Instant now) const;
  // The first `bytes` of ToSend() are on their way. Returns how many commands went whole: so many replies are to come
  // from a lane.
  uint32_t Sent(size_t bytes, Instant now);
  // When a command was last sent that needs a connection of its own; or such a connection came to be.
  Instant own_needed_at() const { return own_needed_at_; }

  // Judges the next reply. When it is complete it is taken as answered. When it is not and the action is kRelay,
  // kSwallow, kReplace or kUnconfirmed, do so with what is there and with all of the rest, and call ReplyEnded() behind
  // it. `confirmation`: what is known if it is a write's.
  ReplyDecision OnReply(const ReplyHead& head, Confirmation confirmation);
  void ReplyEnded();
  // Whole replies to the next `replies` commands have come on a lane, none of them an error: takes them all as answered
  // if there is nothing to judge, and returns when the oldest of them was sent. Nothing, and nothing is changed: judge
  // them one by one. `may_confirm`: Confirmation is kGiven to writes.
  std::optional<Instant> AnsweredPlainly(uint32_t replies, bool may_confirm);
  // Of the last kReplace.
  std::string_view replacement() const { return *replacement_; }

  // The connection has ended. `last_answer`: when that redis last answered anybody on this event loop. `held_oldest`:
  // the oldest command in flight on it was this client's, as it always is on a link of its own. Nothing: close the
  // client. Else go on: so many commands that were in flight wait in the queue to be sent again.
  [[nodiscard]] std::optional<size_t> LinkEnded(LinkEnd end, Instant last_answer, Instant now, bool held_oldest = true);
  // Whether something in flight may have been executed, and it matters: no read, and nothing that is only queued.
  bool outcome_unknown() const;

  // --- holding ---

  // Answers what has waited unsent since before `now - hold_timeout` with an error. True: also end the link (with
  // LinkEnd::kDemoted), since a transaction half held is open on it, or a command half sent.
  [[nodiscard]] bool ExpireHeld(Duration hold_timeout, Instant now);

  bool has_unsent() const { return sent_ < queue_.size(); }
  // Whether ToSend might have something, gates permitting.
  bool HasToSend() const { return has_unsent() || ReplayIsDue(); }
  size_t unsent() const { return queue_.size() - sent_; }
  bool has_in_flight() const { return sent_ > 0; }
  // How many commands are in flight, those that are answered here included.
  size_t in_flight() const { return sent_; }
  // When the oldest of them was sent; nothing: there is none, or it waits for something to happen (BLPOP).
  std::optional<Instant> awaited_since() const {
    if (sent_ == 0 || queue_.front().blocks) return std::nullopt;
    return queue_.front().since;
  }
  // Whether replies are still to come on this link that would be worth waiting for, were another leader announced:
  // afterwards the client can go on at that one.
  bool AwaitsReplies() const;
  // Whether a command waits for something to happen (BLPOP): a client that hangs up must not be waited for.
  bool waits_on_server() const;
  // Neither a command nor a part of one is under way.
  bool idle() const { return queue_.empty() && body_ == BodyState::kNone && !reply_begun_; }

  // Gives back what an idle client's queues keep for its next commands. False: there was nothing.
  bool Shed() {
    const bool queue = queue_.Shed();
    const bool requests = requests_.Shed();
    const bool replies = local_replies_.Shed();
    const bool replacement = std::exchange(replacement_, nullptr) != nullptr;
    return queue || requests || replies || replacement;
  }

  // Bytes of memory that this client's queue takes: its share of --hold-memory.
  size_t memory() const {
    return requests_.size() + queue_.size() * sizeof(Command) + queued_.memory() +
           (replay_ ? replay_->requests.size() : 0);
  }
  const Settings& settings() const { return settings_; }

 private:
  // One command of the queue.
  struct Command {
    Instant since;               // when it came; once sent, when it was sent
    uint64_t size = 0;           // of its bytes in requests_; 0 when it is streamed, or answered here
    uint32_t confirmations = 0;  // (UN)SUBSCRIBE: replies that it brings; 0: all that are subscribed
    uint32_t confirmed = 0;      // ... that came on this link
    uint32_t relayed = 0;        // ... that the client has seen, on this link or an earlier one
    uint32_t timeout_argument = 0;
    resp::Effect effect = resp::Effect::kWrite;
    resp::ConnectionCommand connection = resp::ConnectionCommand::kNone;
    resp::Refusal refusal = resp::Refusal::kNone;
    resp::TimeoutUnit timeout_unit = resp::TimeoutUnit::kSeconds;
    LocalReply local = LocalReply::kNone;
    bool blocks : 1 = false;
    bool pops : 1 = false;
    bool queued : 1 = false;    // within MULTI
    bool streamed : 1 = false;  // not kept
    bool resent : 1 = false;
    bool discard_instead : 1 = false;
    bool pins : 1 = false;
    bool opaque : 1 = false;
    bool own : 1 = false;          // needs a connection of its own
    bool ends : 1 = false;         // the server closes the connection behind its reply
    bool prefaced : 1 = false;     // WAIT: something is written in front of it, whose reply the client does not see
    bool preface_due : 1 = false;  // ... and has not come
  };
  // What makes a new link mean the same, in steps; the next one is sent once this one has been answered.
  enum class ReplayStep : uint8_t {
    kSettings,
    kMulti,   // of the transaction that is open
    kQueued,  // the commands in it that the client knows to be queued
  };
  struct ReplayState {
    ReplayStep step = ReplayStep::kSettings;
    std::string requests;
    size_t sent = 0;
    uint32_t replies = 0;  // as in Settings::Replay: those that are still to come
    uint32_t essential = 0;
    uint32_t channels = 0;
    bool done() const { return replies == 0 && channels == 0 && sent == requests.size(); }
  };

  bool HoldsNothing() const;
  void BeginReplay(ReplayState replay) { replay_ = std::make_unique<ReplayState>(std::move(replay)); }
  void ContinueReplay();
  bool ReplayIsDue() const { return replay_ && replay_->sent < replay_->requests.size(); }
  // Whether the open transaction, of which nothing was executed, can be queued once more on another link.
  bool MayRepeatTransaction() const { return front_.open && !front_.watching && !front_.lost && queued_.whole(); }
  Command MakeCommand(const resp::Request& request, const resp::CommandFacts& facts, Instant now);
  bool OpaqueAhead() const;
  void Enqueue(const Command& command);
  bool MayPreface(const Command& command) const;
  bool MayPass(const Command& command, const Gates& gates) const;
  std::optional<Duration> FrontBlocksFor() const;
  void SkipAnsweredHere();
  std::string_view LocalReplyText(const Command& command) const;
  void PopFront();
  void EmitDueReplies();

  ReplyDecision Judge(const ReplyHead& head, Confirmation confirmation);
  ReplyDecision JudgeOutOfBand(const ReplyHead& head);
  ReplyDecision JudgeReplay(const ReplyHead& head);
  ReplyDecision JudgeFront(const ReplyHead& head, Confirmation confirmation);
  ReplyAction JudgeWrite(const ReplyHead& head, Confirmation confirmation) const;
  ReplyDecision JudgeUnexecuted(std::string_view error);
  ReplyDecision JudgeExecAbort(std::string_view error);
  ReplyDecision BeginDemotion();
  ReplyDecision JudgeWhileDemoted(const ReplyHead& head);
  ReplyDecision Confirm(const ReplyHead& head, std::string_view kind);
  ReplyDecision Replace(LocalReply reply);
  ReplyDecision ReplaceName();
  ReplyAction DropLinkWhenAllRefused();
  static bool IsWait(const Command& command);
  // Whether it counts as one in flight, once it was sent.
  static bool IsSentMulti(const Command& command) {
    return command.connection == resp::ConnectionCommand::kMulti && command.local == LocalReply::kNone &&
           !command.streamed;
  }
  bool MayGetMessages() const;
  void Answered(bool is_error);
  void KeepTransaction(const Command& command, bool is_error, bool was_open);
  void RememberSettings(const Command& command);
  void RememberScript(const Command& command);
  void CheckOpaque();

  bool Survives(const Command& command, bool behind_multi, bool oldest, LinkEnd end, bool stalled) const;
  void Reclassify();
  size_t RebuildRequests(Instant now);

  SeenScripts* const scripts_ = nullptr;
  Fifo<Command, 64> queue_;  // room for a pipeline of moderate depth is kept
  ByteQueue requests_;       // of the commands in the queue that are kept, in order
  size_t sent_ = 0;          // commands at the front of the queue that were sent whole, or are answered here
  size_t sent_whole_ = 0;    // bytes of requests_ that belong to them
  size_t sent_bytes_ = 0;    // bytes of requests_ that were sent; more than sent_whole_ within a command

  uint32_t multis_in_flight_ = 0;  // sent and not answered, so that the server may yet refuse them
  Transaction front_;              // behind what was answered
  Transaction tail_;               // behind everything in the queue
  QueuedCommands queued_;          // of front_
  Settings settings_;
  ByteQueue local_replies_;
  // Most clients never have any of these.
  std::unique_ptr<ReplayState> replay_;  // null: done
  std::unique_ptr<std::string> replacement_;
  std::unique_ptr<std::string> protocol_error_;

  // While a demoted server still answers what was in flight: commands of the queue whose replies have come. They wait
  // at the front of the queue to be sent again.
  size_t refused_ = 0;
  Instant own_needed_at_{};

  BodyState body_ = BodyState::kNone;
  bool link_up_ = false;
  bool on_lane_ = false;
  bool keeps_own_ = false;      // the client has asked who its connection is: it must not become another one
  bool demoted_ = false;        // the server has refused a command since it does not lead: refused_ counts
  bool opaque_ = false;         // replies are not told apart any more (MONITOR, CLIENT REPLY OFF)
  bool pinned_ = false;         // the connection has a meaning that cannot be repeated (CLIENT TRACKING)
  bool reply_begun_ = false;    // a part of a reply was judged, its end not seen
  bool reply_is_push_ = false;  // ... and it answers no command
  bool reply_is_error_ = false;
  bool protocol_error_told_ = false;  // the last reply was the server's word that it closes the connection
  bool last_command_taken_ = false;
  bool finished_ = false;
  bool broken_ = false;
};

}  // namespace hive::proxy
