// Where a client stands between WATCH, MULTI and EXEC, and what becomes of its transaction when the leader changes.
// PURE.
//
// The server holds a transaction in the connection. When that connection ends before EXEC was executed, nothing of it
// was. Then all of it is queued once more on the next one, if its commands were kept; else nothing of it ever must be
// executed: commands behind the lost MULTI would run one by one. So the rest of a lost transaction is answered here, as
// the server would: +QUEUED, and at EXEC "nothing was done" - null after WATCH, as if a watched key had changed, which
// clients that WATCH repeat anyway; else -EXECABORT.
//
// Thread rule: value types.
// docs: docs/proxy.md, "When the leader changes".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/resp/command_facts.h"

namespace hive::proxy {

// SUBSCRIBE and the like, and what ends them.
constexpr bool IsSubscription(resp::ConnectionCommand command) {
  using resp::ConnectionCommand;
  static_assert(
      static_cast<int>(ConnectionCommand::kShardUnsubscribe) - static_cast<int>(ConnectionCommand::kSubscribe) == 5);
  return command >= ConnectionCommand::kSubscribe && command <= ConnectionCommand::kShardUnsubscribe;
}

// A reply that the proxy gives in the server's place.
enum class LocalReply : uint8_t {
  kNone,
  kOk,             // MULTI or DISCARD of a lost transaction
  kQueued,         // a command within a lost transaction
  kExecNull,       // EXEC of a lost transaction that watched keys
  kExecAborted,    // EXEC of a lost one that did not, or of one in which a command was refused
  kNestedMulti,    // MULTI within a lost transaction
  kWatchInMulti,   // WATCH within a lost transaction
  kRefused,        // a command that would break the hive
  kHeldTooLong,    // held until --hold-timeout without a leader to send it to
  kTooMuchHeld,    // not held, since --hold-memory is used up
  kTooLarge,       // not executed by a demoted leader, and too large to have been kept for the next one
  kProtocolError,  // no command at all: the error, then close
  kQuit,           // QUIT: +OK, then close
  kHangUp,         // POST, Host: no reply, and close
};

// The state of the transaction behind some command of the client.
struct Transaction {
  bool open = false;                // MULTI was sent, EXEC or DISCARD not
  bool watching = false;            // WATCH was sent, neither EXEC, DISCARD nor UNWATCH
  bool lost = false;                // the server has forgotten it: what belongs to it is answered here
  bool spoiled = false;             // the proxy refused a command in it: EXEC must fail
  bool changes_connection = false;  // a queued command will change what the connection means
  bool unpairs = false;             // ... so that replies can no longer be told apart (SUBSCRIBE, MONITOR)
  bool refused = false;             // the server refused to queue a command since it does not lead: EXEC will fail
                                    // (when that command could not be kept)

  friend bool operator==(const Transaction&, const Transaction&) = default;
};

// How a command goes on.
struct Passage {
  LocalReply local = LocalReply::kNone;  // answered here with this; else sent
  bool queued = false;                   // sent, and the server will only queue it
  bool discard_instead = false;          // EXEC of a spoiled transaction: DISCARD is sent, its +OK becomes -EXECABORT
  bool pins = false;                     // changes the connection in a way that cannot be repeated on another one
  bool opaque = false;                   // replies can no longer be told apart once this one's has come
};

// Takes the client's next command. `refusal`: whether the proxy refuses it.
Passage Advance(Transaction& transaction, resp::ConnectionCommand command, resp::Refusal refusal);

// Commands of one open transaction that are kept, so that it can be queued again: as much as one command may have.
inline constexpr size_t kKeptTransactionBytes = 256 * 1024;

// The commands behind an open MULTI to which the server has said +QUEUED.
class QueuedCommands {
 public:
  // MULTI was answered.
  void Begin() { kept_ = std::make_unique<Kept>(); }
  // A command was queued.
  void Add(std::string_view request) {
    if (!kept_) return;
    if (memory() + request.size() > kKeptTransactionBytes) return Clear();
    kept_->requests += request;
    ++kept_->count;
  }
  // The transaction is over, or cannot be queued again.
  void Clear() { kept_.reset(); }

  // Whether they are all there.
  bool whole() const { return kept_ != nullptr; }
  // Requires whole().
  std::string_view requests() const { return kept_->requests; }
  uint32_t count() const { return kept_->count; }
  // In bytes.
  size_t memory() const { return kept_ ? kept_->requests.size() : 0; }

 private:
  struct Kept {
    std::string requests;
    uint32_t count = 0;
  };
  std::unique_ptr<Kept> kept_;
};

}  // namespace hive::proxy
