// What no server says of its commands: which change the meaning of a connection, which wait, and which would break the
// hive. The one list of commands in the proxy.
#include <algorithm>
#include <iterator>
#include <string_view>

#include "proxy/resp/command_facts.h"

namespace hive::resp {
namespace {

struct ConnectionRow {
  std::string_view name;
  ConnectionCommand command;
};

constexpr ConnectionRow kConnection[] = {
    {"auth", ConnectionCommand::kAuth},
    {"hello", ConnectionCommand::kHello},
    {"select", ConnectionCommand::kSelect},
    {"reset", ConnectionCommand::kReset},
    {"quit", ConnectionCommand::kQuit},
    {"client|setname", ConnectionCommand::kClientSetName},
    {"client|setinfo", ConnectionCommand::kClientSetInfo},
    {"client|getname", ConnectionCommand::kClientGetName},
    {"client|id", ConnectionCommand::kClientIdentity},
    {"client|info", ConnectionCommand::kClientIdentity},
    {"client|getredir", ConnectionCommand::kClientIdentity},
    {"client|trackinginfo", ConnectionCommand::kClientIdentity},
    {"client|reply", ConnectionCommand::kClientReply},
    {"client|tracking", ConnectionCommand::kClientTracking},
    {"client|caching", ConnectionCommand::kClientTracking},
    {"client|no-evict", ConnectionCommand::kClientNoEvict},
    {"client|no-touch", ConnectionCommand::kClientNoTouch},
    {"multi", ConnectionCommand::kMulti},
    {"exec", ConnectionCommand::kExec},
    {"discard", ConnectionCommand::kDiscard},
    {"watch", ConnectionCommand::kWatch},
    {"unwatch", ConnectionCommand::kUnwatch},
    {"subscribe", ConnectionCommand::kSubscribe},
    {"psubscribe", ConnectionCommand::kPatternSubscribe},
    {"ssubscribe", ConnectionCommand::kShardSubscribe},
    {"unsubscribe", ConnectionCommand::kUnsubscribe},
    {"punsubscribe", ConnectionCommand::kPatternUnsubscribe},
    {"sunsubscribe", ConnectionCommand::kShardUnsubscribe},
    {"monitor", ConnectionCommand::kMonitor},
    {"script|debug", ConnectionCommand::kScriptDebug},
    {"readonly", ConnectionCommand::kReadOnly},
    {"readwrite", ConnectionCommand::kReadOnly},
    {"asking", ConnectionCommand::kReadOnly},
    {"post", ConnectionCommand::kHttp},
    {"host:", ConnectionCommand::kHttp},
};

// These change nothing of a connection, and are shared like any other: see SeenScripts.
constexpr ConnectionRow kScripts[] = {
    {"eval", ConnectionCommand::kEval},
    {"eval_ro", ConnectionCommand::kEval},
    {"script|load", ConnectionCommand::kScriptLoad},
    {"script|flush", ConnectionCommand::kScriptFlush},
};

// What connections of their own are for, besides what changes a connection or waits: to kill a script or a connection
// one must not stand in the queue behind it.
constexpr std::string_view kOvertakes[] = {"script|kill", "function|kill", "client|kill", "client|unblock"};

// Changes the connection's name, or what it says of its library: harmless on a lane, whose name nobody asks for, and
// the server's own errors are the answer.
constexpr bool IsHarmlessOnLane(ConnectionCommand command) {
  return command == ConnectionCommand::kNone || command == ConnectionCommand::kClientSetName ||
         command == ConnectionCommand::kClientSetInfo || command == ConnectionCommand::kClientGetName ||
         command == ConnectionCommand::kEval || command == ConnectionCommand::kScriptLoad ||
         command == ConnectionCommand::kScriptFlush;
}

// Redis, networking of RESP2: a subscribed client may say these and nothing else.
constexpr std::string_view kAllowedWhileSubscribed[] = {
    "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "ping", "quit", "reset",
};

// After these a client may have to authenticate that had not to, or the other way round. The containers: for servers
// before redis 7, which do not list subcommands.
constexpr std::string_view kChangesAccess[] = {"acl|setuser", "acl|deluser", "acl|load", "config|set", "acl", "config"};

struct RefusalRow {
  std::string_view name;
  Refusal refusal;
};

constexpr RefusalRow kRefused[] = {
    {"replicaof", Refusal::kReplication}, {"slaveof", Refusal::kReplication}, {"failover", Refusal::kReplication},
    {"psync", Refusal::kReplicaStream},   {"sync", Refusal::kReplicaStream},  {"replconf", Refusal::kReplicaStream},
    {"shutdown", Refusal::kShutdown},     {"debug", Refusal::kDebug},         {"client|pause", Refusal::kPause},
    {"client|unpause", Refusal::kPause},
};

struct BlockingRow {
  std::string_view name;
  uint32_t timeout_argument;  // 0: depends on the arguments
  CommandRule::Arguments arguments;
  TimeoutUnit unit;
  bool pops;
};

constexpr BlockingRow kBlocking[] = {
    {"blpop", 0, CommandRule::Arguments::kTimeoutLast, TimeoutUnit::kSeconds, true},
    {"brpop", 0, CommandRule::Arguments::kTimeoutLast, TimeoutUnit::kSeconds, true},
    {"brpoplpush", 0, CommandRule::Arguments::kTimeoutLast, TimeoutUnit::kSeconds, true},
    {"blmove", 0, CommandRule::Arguments::kTimeoutLast, TimeoutUnit::kSeconds, true},
    {"bzpopmin", 0, CommandRule::Arguments::kTimeoutLast, TimeoutUnit::kSeconds, true},
    {"bzpopmax", 0, CommandRule::Arguments::kTimeoutLast, TimeoutUnit::kSeconds, true},
    {"blmpop", 1, CommandRule::Arguments::kIrrelevant, TimeoutUnit::kSeconds, true},
    {"bzmpop", 1, CommandRule::Arguments::kIrrelevant, TimeoutUnit::kSeconds, true},
    {"xread", 0, CommandRule::Arguments::kXread, TimeoutUnit::kMilliseconds, false},
    {"xreadgroup", 0, CommandRule::Arguments::kXreadGroup, TimeoutUnit::kMilliseconds, true},
    {"wait", 2, CommandRule::Arguments::kIrrelevant, TimeoutUnit::kMilliseconds, false},
    {"waitaof", 3, CommandRule::Arguments::kIrrelevant, TimeoutUnit::kMilliseconds, false},
};

}  // namespace

void CommandTable::AddConnectionCommands() {
  for (const ConnectionRow& row : kConnection) {
    CommandFacts& facts = Add(row.name).facts;
    facts.connection = row.command;
    facts.effect = row.command == ConnectionCommand::kExec ? Effect::kWrite : Effect::kConnection;
  }
  for (const ConnectionRow& row : kScripts) Add(row.name).facts.connection = row.command;
  for (const std::string_view name : kAllowedWhileSubscribed) Add(name).facts.allowed_while_subscribed = true;
  for (const RefusalRow& row : kRefused) Add(row.name).facts.refusal = row.refusal;
  for (const std::string_view name : kChangesAccess) Add(name).facts.changes_access = true;
  Add("config|set").arguments = CommandRule::Arguments::kConfigSet;
  for (const BlockingRow& row : kBlocking) {
    CommandRule& rule = Add(row.name);
    rule.arguments = row.arguments;
    rule.facts.timeout_argument = row.timeout_argument;
    rule.facts.timeout_unit = row.unit;
    rule.facts.pops = row.pops;
    // XREAD and XREADGROUP only with BLOCK: see Classify().
    rule.facts.blocks =
        row.arguments != CommandRule::Arguments::kXread && row.arguments != CommandRule::Arguments::kXreadGroup;
  }
}

void CommandTable::DecideShareable() {
  for (auto& [name, rule] : entries_) {
    CommandFacts& facts = rule.facts;
    // Of a container: what is said of it holds for those of its subcommands that nobody has heard of.
    const bool is_container = rule.arguments == CommandRule::Arguments::kSubcommand;
    const bool overtakes = std::ranges::find(kOvertakes, std::string_view(name)) != std::end(kOvertakes);
    facts.shareable = IsHarmlessOnLane(facts.connection) && !is_container && !overtakes && !facts.blocks &&
                      facts.refusal == Refusal::kNone;
    rule.plain = facts.shareable && rule.arguments == CommandRule::Arguments::kIrrelevant && !rule.is_subcommand &&
                 facts.connection == ConnectionCommand::kNone && facts.timeout_argument == 0;
  }
}

std::string_view RefusalReply(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      return "";
    case Refusal::kReplication:
      return "-ERR refused by hive-proxy: this command changes replication, which the hive's coordinators decide\r\n";
    case Refusal::kReplicaStream:
      return "-ERR refused by hive-proxy: this command is for replicas, which connect to a redis-server directly\r\n";
    case Refusal::kReplicationSetting:
      return "-ERR refused by hive-proxy: this CONFIG SET changes a replication setting, which the hive's coordinators "
             "own; other settings may be set in a command of their own\r\n";
    case Refusal::kShutdown:
      return "-ERR refused by hive-proxy: SHUTDOWN would stop the hive's leader; stop its pod instead\r\n";
    case Refusal::kDebug:
      return "-ERR refused by hive-proxy: DEBUG can stall or crash the hive's leader; connect to a redis-server "
             "directly\r\n";
    case Refusal::kPause:
      return "-ERR refused by hive-proxy: CLIENT PAUSE and UNPAUSE would stop the hive's clients and look like a dead "
             "leader; connect to a redis-server directly\r\n";
  }
  return "";
}

}  // namespace hive::resp
