// What the proxy must know of a command before it sends it.
//
// Two sources. What a command does to data, the server says itself (COMMAND, read at connect; a table of redis 7.0's
// until then). What a command does to the *connection*, and what would break the hive, no server says: that is the list
// in this folder (connection_commands.cc). A command that neither knows counts as a write: never sent twice.
//
// Thread rule: a CommandTable does not change once built; share it between threads as shared_ptr<const CommandTable>.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/resp/request_scanner.h"

namespace hive::resp {

struct Value;

enum class Effect : uint8_t {
  kRead,        // changes nothing: may be sent again to another leader when its reply did not come
  kWrite,       // may change data, or who knows what: never sent twice
  kConnection,  // changes what this connection means, and no data; see ConnectionCommand
};

// What a command does to its connection.
enum class ConnectionCommand : uint8_t {
  kNone,
  kAuth,            // AUTH [user] password
  kHello,           // HELLO [version [AUTH user password] [SETNAME name]]
  kSelect,          // SELECT index
  kReset,           // RESET: as if new
  kQuit,            // QUIT: +OK, then close
  kClientSetName,   // CLIENT SETNAME name
  kClientSetInfo,   // CLIENT SETINFO (redis 7.2)
  kClientGetName,   // CLIENT GETNAME: changes nothing, but its answer is the connection's
  kClientIdentity,  // CLIENT ID, INFO and the like: likewise, and the client may lean on it from then on
  kClientReply,     // CLIENT REPLY ON|OFF|SKIP: replies stop coming
  kClientTracking,  // CLIENT TRACKING, CLIENT CACHING
  kClientNoEvict,   // CLIENT NO-EVICT
  kClientNoTouch,   // CLIENT NO-TOUCH (redis 7.2)
  kMulti,           // MULTI
  kExec,            // EXEC: its effect is kWrite
  kDiscard,         // DISCARD
  kWatch,           // WATCH key...
  kUnwatch,         // UNWATCH
  kSubscribe,       // SUBSCRIBE channel...
  kPatternSubscribe,
  kShardSubscribe,
  kUnsubscribe,  // UNSUBSCRIBE [channel...]
  kPatternUnsubscribe,
  kShardUnsubscribe,
  kMonitor,      // MONITOR: a stream of lines until RESET or the end
  kScriptDebug,  // SCRIPT DEBUG
  kEval,         // EVAL, EVAL_RO: changes nothing of it, but the server keeps the script, for as long as it leads
  kScriptLoad,   // SCRIPT LOAD: likewise
  kScriptFlush,  // SCRIPT FLUSH
  kReadOnly,     // READONLY, READWRITE, ASKING: only of meaning in a cluster, kept apart in case
  kHttp,         // POST, Host: what a browser was tricked into sending; redis closes the connection at once
};

// Why the proxy does not pass a command on: each would break the hive behind the coordinators' backs.
enum class Refusal : uint8_t {
  kNone,
  kReplication,         // REPLICAOF, SLAVEOF, FAILOVER: who leads is the coordinators' business
  kReplicaStream,       // PSYNC, SYNC, REPLCONF: what follows is not RESP, so no proxy could pass it on
  kReplicationSetting,  // CONFIG SET replicaof, masterauth, min-replicas-..., replica-..., repl-...
  kShutdown,            // SHUTDOWN
  kDebug,               // DEBUG
  kPause,               // CLIENT PAUSE, CLIENT UNPAUSE: would look like a dead leader
};

// The reply to a refused command, "-ERR ...\r\n"; says what was refused and what to do instead. Empty for kNone.
std::string_view RefusalReply(Refusal refusal);

// Whether --allow-admin lifts it: all but what cannot be passed on.
constexpr bool IsLiftedForAdmins(Refusal refusal) { return refusal != Refusal::kReplicaStream; }

enum class TimeoutUnit : uint8_t { kSeconds /* with a fraction */, kMilliseconds };

struct CommandFacts {
  Effect effect = Effect::kWrite;
  ConnectionCommand connection = ConnectionCommand::kNone;
  Refusal refusal = Refusal::kNone;

  // May it wait for something before it is answered? (Not within MULTI.)
  bool blocks = false;
  // Does it take data away when it is answered (BLPOP, XREADGROUP), so that nobody knows after a crash? XREAD does not.
  // Nor does WAIT, but it is a kWrite all the same: another leader would confirm what it never heard of.
  bool pops = false;
  // Where its timeout stands; 0: unknown, as for a module's blocking command. 0 as *value* means for ever.
  uint32_t timeout_argument = 0;
  TimeoutUnit timeout_unit = TimeoutUnit::kSeconds;

  // May it travel on a connection that many clients share (a lane)? Only what leaves no trace in the connection, is not
  // answered by it in particular, and does not wait. What is unknown may not.
  bool shareable = false;

  // May it change who must authenticate (ACL SETUSER, CONFIG SET requirepass)?
  bool changes_access = false;

  // SUBSCRIBE and the like may also be used in RESP2 while subscribed: (P|S)(UN)SUBSCRIBE, PING, QUIT, RESET.
  bool allowed_while_subscribed = false;

  // False when the answer hangs on arguments that are not in the buffer yet (see Request::arguments_seen): read on
  // before anything of it is relayed.
  bool certain = true;
};

// Longest command name known, "container|subcommand" together. Longer ones are unknown.
inline constexpr size_t kMaxCommandName = 64;

// Most commands (subcommands included) taken from a server. Redis 7 with all of its modules has about 900.
inline constexpr size_t kMaxCommands = 16384;

// What is known of one command name; the arguments may refine it.
struct CommandRule {
  enum class Arguments : uint8_t {
    kIrrelevant,
    kSubcommand,   // a container: look up "name|subcommand"
    kTimeoutLast,  // BLPOP and the like: seconds, last argument
    kXread,        // XREAD ... BLOCK milliseconds
    kXreadGroup,   // XREADGROUP ... BLOCK milliseconds
    kConfigSet,    // CONFIG SET: refused for replication settings
  };
  CommandFacts facts;
  Arguments arguments = Arguments::kIrrelevant;
  // Nothing hangs on the arguments, and nothing is to be known but its effect: as nearly all commands.
  bool plain = false;
  bool is_subcommand = false;  // known as "name|subcommand": no name that a client could send
};

class CommandTable {
 public:
  // Redis 7.0's commands, as a table in the code. Built once.
  static std::shared_ptr<const CommandTable> BuiltIn();

  // From the reply to COMMAND (RESP2 or RESP3, redis 5 or newer): exactly the server's own commands, plus the list in
  // the code. Null and *error set when the reply is not one: keep the table you have.
  static std::shared_ptr<const CommandTable> FromCommandReply(std::string_view reply, std::string* error);

  // The facts of a request, complete or not: while its name or an argument that matters is not in sight, the answer is
  // marked uncertain.
  CommandFacts Classify(const Request& request) const;

  // By lower- or upper-case name, "get" or "config|set"; null when unknown. No allocation.
  const CommandRule* Find(std::string_view name) const;
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string name;  // lower case
    CommandRule rule;
  };

  CommandTable() = default;
  // The rule by that name, added when it is new. The name is at most kMaxCommandName long.
  CommandRule& Add(std::string_view name);
  bool AddRow(const Value& row, int depth);  // of COMMAND's reply
  void AddReads(std::string_view names);     // blank-separated
  void AddBuiltIn();                         // builtin_commands.cc
  void AddHarmless();                        // builtin_commands.cc
  void DecideShareable();                    // connection_commands.cc
  void AddConnectionCommands();              // connection_commands.cc
  void Insert(size_t position);              // into the index
  void Grow();                               // the index

  std::vector<Entry> entries_;
  // Open addressing: position in entries_ + 1, 0 = free. A power of two, at most half full.
  std::vector<uint16_t> index_;
};

}  // namespace hive::resp
