// Goal: every command that changes a connection, waits, or would break the hive is known as such whatever its case, its
// arguments and the server's answer to COMMAND; and what nobody knows counts as a write.
#include "proxy/resp/command_facts.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/resp/blocking.h"
#include "proxy/resp/replies.h"

namespace hive::resp {
namespace {

// A request and the bytes it looks at.
class Parsed {
 public:
  explicit Parsed(std::initializer_list<std::string_view> arguments) : Parsed(MakeRequest(arguments)) {}
  explicit Parsed(std::string bytes) : bytes_(std::move(bytes)) { scanner_.Scan(bytes_); }

  Request request() const { return scanner_.request(bytes_); }

 private:
  std::string bytes_;
  RequestScanner scanner_;
};

CommandFacts Facts(std::initializer_list<std::string_view> arguments) {
  return CommandTable::BuiltIn()->Classify(Parsed(arguments).request());
}

// A row of COMMAND.
std::string Row(std::string_view name, std::initializer_list<std::string_view> flags, const std::string& tail = "") {
  std::string row = tail.empty() ? "*3\r\n" : "*10\r\n";
  row += BulkReply(name) + IntegerReply(-2) + "*" + std::to_string(flags.size()) + "\r\n";
  for (const std::string_view flag : flags) row += SimpleReply(flag);
  if (!tail.empty()) row += ":0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n" + tail;
  return row;
}

TEST(CommandFacts, TellsReadsFromWrites) {
  for (const std::string_view name : {"GET", "get", "GeT", "HGETALL", "SCAN", "PING", "EXISTS", "INFO", "TIME"}) {
    EXPECT_EQ(Facts({name, "x"}).effect, Effect::kRead) << name;
  }
  for (const std::string_view name : {"SET", "PUBLISH", "EVAL", "NOSUCH", "", "WAIT", "GETDEL", "SORT", "EXEC"}) {
    EXPECT_EQ(Facts({name, "x"}).effect, Effect::kWrite) << name;
  }
  EXPECT_EQ(Facts({std::string(1000, 'x')}).effect, Effect::kWrite);
}

TEST(CommandFacts, NoNameIsNoCommand) { EXPECT_EQ(CommandTable::BuiltIn()->Find({}), nullptr); }

TEST(CommandFacts, KnowsSubcommands) {
  EXPECT_EQ(Facts({"OBJECT", "ENCODING", "k"}).effect, Effect::kRead);
  EXPECT_EQ(Facts({"config", "GeT", "*"}).effect, Effect::kRead);
  EXPECT_EQ(Facts({"CONFIG", "RESETSTAT"}).effect, Effect::kWrite);
  EXPECT_EQ(Facts({"SCRIPT", "FLUSH"}).effect, Effect::kWrite);
  EXPECT_EQ(Facts({"CLIENT", "NOSUCH"}).effect, Effect::kWrite);
  EXPECT_EQ(Facts({"CLIENT", std::string(100, 'x')}).effect, Effect::kWrite);
  EXPECT_EQ(Facts({"CLIENT"}).effect, Effect::kWrite);
  EXPECT_EQ(Facts({"COMMAND"}).effect, Effect::kRead);
  // No command is called so.
  EXPECT_EQ(Facts({"object|encoding", "k"}).effect, Effect::kWrite);
  EXPECT_EQ(Facts({"client|pause", "1"}).refusal, Refusal::kNone);
}

TEST(CommandFacts, KnowsWhatMayChangeWhoMustAuthenticate) {
  EXPECT_TRUE(Facts({"ACL", "SETUSER", "default", "on"}).changes_access);
  EXPECT_TRUE(Facts({"acl", "deluser", "u"}).changes_access);
  EXPECT_TRUE(Facts({"CONFIG", "SET", "requirepass", "p"}).changes_access);
  EXPECT_FALSE(Facts({"CONFIG", "GET", "requirepass"}).changes_access);
  EXPECT_FALSE(Facts({"GET", "acl"}).changes_access);
}

TEST(CommandFacts, KnowsWhatChangesAConnection) {
  const struct {
    std::initializer_list<std::string_view> request;
    ConnectionCommand command;
  } cases[] = {
      {{"AUTH", "p"}, ConnectionCommand::kAuth},
      {{"hello", "3"}, ConnectionCommand::kHello},
      {{"SELECT", "1"}, ConnectionCommand::kSelect},
      {{"RESET"}, ConnectionCommand::kReset},
      {{"QUIT"}, ConnectionCommand::kQuit},
      {{"CLIENT", "SETNAME", "n"}, ConnectionCommand::kClientSetName},
      {{"CLIENT", "SetInfo", "LIB-NAME", "x"}, ConnectionCommand::kClientSetInfo},
      {{"CLIENT", "REPLY", "OFF"}, ConnectionCommand::kClientReply},
      {{"CLIENT", "TRACKING", "ON"}, ConnectionCommand::kClientTracking},
      {{"CLIENT", "CACHING", "YES"}, ConnectionCommand::kClientTracking},
      {{"CLIENT", "NO-EVICT", "on"}, ConnectionCommand::kClientNoEvict},
      {{"CLIENT", "NO-TOUCH", "on"}, ConnectionCommand::kClientNoTouch},
      {{"MULTI"}, ConnectionCommand::kMulti},
      {{"EXEC"}, ConnectionCommand::kExec},
      {{"DISCARD"}, ConnectionCommand::kDiscard},
      {{"WATCH", "k"}, ConnectionCommand::kWatch},
      {{"UNWATCH"}, ConnectionCommand::kUnwatch},
      {{"SUBSCRIBE", "c"}, ConnectionCommand::kSubscribe},
      {{"PSUBSCRIBE", "c"}, ConnectionCommand::kPatternSubscribe},
      {{"SSUBSCRIBE", "c"}, ConnectionCommand::kShardSubscribe},
      {{"UNSUBSCRIBE"}, ConnectionCommand::kUnsubscribe},
      {{"PUNSUBSCRIBE"}, ConnectionCommand::kPatternUnsubscribe},
      {{"SUNSUBSCRIBE"}, ConnectionCommand::kShardUnsubscribe},
      {{"MONITOR"}, ConnectionCommand::kMonitor},
      {{"SCRIPT", "DEBUG", "YES"}, ConnectionCommand::kScriptDebug},
      {{"READONLY"}, ConnectionCommand::kReadOnly},
      {{"GET", "MULTI"}, ConnectionCommand::kNone},
      {{"CLIENT", "GETNAME"}, ConnectionCommand::kClientGetName},
      {{"CLIENT", "ID"}, ConnectionCommand::kClientIdentity},
  };
  for (const auto& [request, command] : cases) {
    EXPECT_EQ(Facts(request).connection, command) << *request.begin();
    EXPECT_EQ(Facts(request).refusal, Refusal::kNone) << *request.begin();
  }
  EXPECT_EQ(Facts({"SELECT", "1"}).effect, Effect::kConnection);
  EXPECT_TRUE(Facts({"PING"}).allowed_while_subscribed);
  EXPECT_FALSE(Facts({"GET", "k"}).allowed_while_subscribed);
}

TEST(CommandFacts, RefusesWhatWouldBreakTheHive) {
  const struct {
    std::initializer_list<std::string_view> request;
    Refusal refusal;
  } cases[] = {
      {{"REPLICAOF", "NO", "ONE"}, Refusal::kReplication},
      {{"slaveof", "NO", "ONE"}, Refusal::kReplication},
      {{"FAILOVER"}, Refusal::kReplication},
      {{"PSYNC", "?", "-1"}, Refusal::kReplicaStream},
      {{"SYNC"}, Refusal::kReplicaStream},
      {{"REPLCONF", "ACK", "1"}, Refusal::kReplicaStream},
      {{"SHUTDOWN"}, Refusal::kShutdown},
      {{"DEBUG", "SLEEP", "1"}, Refusal::kDebug},
      {{"CLIENT", "PAUSE", "1"}, Refusal::kPause},
      {{"CLIENT", "unpause"}, Refusal::kPause},
      {{"CONFIG", "SET", "replicaof", "x"}, Refusal::kReplicationSetting},
      {{"CONFIG", "SET", "slaveof", "x"}, Refusal::kReplicationSetting},
      {{"CONFIG", "SET", "MasterAuth", "x"}, Refusal::kReplicationSetting},
      {{"CONFIG", "SET", "masteruser", "x"}, Refusal::kReplicationSetting},
      {{"CONFIG", "SET", "min-replicas-to-write", "3"}, Refusal::kReplicationSetting},
      {{"CONFIG", "SET", "min-slaves-max-lag", "3"}, Refusal::kReplicationSetting},
      {{"CONFIG", "SET", "replica-read-only", "no"}, Refusal::kReplicationSetting},
      {{"CONFIG", "SET", "slave-priority", "0"}, Refusal::kReplicationSetting},
      {{"config", "set", "maxmemory", "1", "REPL-timeout", "2"}, Refusal::kReplicationSetting},
      {{"CONFIG", "SET", "maxmemory", "repl-timeout"}, Refusal::kNone},
      {{"CONFIG", "GET", "replicaof"}, Refusal::kNone},
      {{"CLIENT", "LIST"}, Refusal::kNone},
  };
  for (const auto& [request, refusal] : cases) {
    EXPECT_EQ(Facts(request).refusal, refusal) << *request.begin() << " " << MakeRequest(request);
    const std::string_view reply = RefusalReply(refusal);
    if (refusal == Refusal::kNone) {
      EXPECT_EQ(reply, "");
    } else {
      EXPECT_TRUE(reply.starts_with("-ERR refused by hive-proxy: ") && reply.find("\r\n") == reply.size() - 2) << reply;
    }
  }
}

TEST(CommandFacts, AnAdminMayDoAllThatCanBePassedOn) {
  for (const Refusal refusal :
       {Refusal::kReplication, Refusal::kReplicationSetting, Refusal::kShutdown, Refusal::kDebug, Refusal::kPause}) {
    EXPECT_TRUE(IsLiftedForAdmins(refusal));
  }
  EXPECT_FALSE(IsLiftedForAdmins(Refusal::kReplicaStream));
}

TEST(CommandFacts, FindsTheTimeoutOfWhatBlocks) {
  const struct {
    std::initializer_list<std::string_view> request;
    uint32_t timeout_argument;
    Duration timeout;
    bool pops;
  } cases[] = {
      {{"BLPOP", "a", "b", "1.5"}, 3, Millis(1500), true},
      {{"BRPOP", "a", "0"}, 2, Duration(0), true},
      {{"BLMOVE", "a", "b", "LEFT", "RIGHT", "2"}, 5, Seconds(2), true},
      {{"BRPOPLPUSH", "a", "b", "0.0001"}, 3, Millis(1), true},
      {{"BZPOPMIN", "a", "3"}, 2, Seconds(3), true},
      {{"BLMPOP", "4", "1", "a", "LEFT"}, 1, Seconds(4), true},
      {{"BZMPOP", "4", "1", "a", "MIN"}, 1, Seconds(4), true},
      {{"WAIT", "1", "250"}, 2, Millis(250), false},
      {{"WAITAOF", "0", "1", "250"}, 3, Millis(250), false},
      {{"XREAD", "COUNT", "1", "block", "100", "STREAMS", "s", "$"}, 4, Millis(100), false},
      {{"XREADGROUP", "GROUP", "block", "block", "BLOCK", "5", "STREAMS", "s", ">"}, 5, Millis(5), true},
  };
  for (const auto& [request, timeout_argument, timeout, pops] : cases) {
    const Parsed parsed(request);
    const CommandFacts facts = CommandTable::BuiltIn()->Classify(parsed.request());
    EXPECT_TRUE(facts.blocks) << *request.begin();
    EXPECT_EQ(facts.pops, pops) << *request.begin();
    EXPECT_EQ(facts.timeout_argument, timeout_argument) << *request.begin();
    EXPECT_EQ(BlockingTimeout(parsed.request(), facts), timeout) << *request.begin();
  }
  EXPECT_FALSE(Facts({"XREAD", "STREAMS", "block", "0"}).blocks);
  EXPECT_EQ(Facts({"XREAD", "BLOCK", "0", "STREAMS", "s", "$"}).effect, Effect::kRead);
  EXPECT_FALSE(Facts({"GET", "k"}).blocks);
  // Malformed: the server's answer comes at once.
  for (const std::string_view timeout : {"", "x", "-1", "nan", "1 "}) {
    const Parsed parsed({"BLPOP", "a", timeout});
    EXPECT_EQ(BlockingTimeout(parsed.request(), CommandTable::BuiltIn()->Classify(parsed.request())), std::nullopt);
  }
  EXPECT_EQ(Facts({"BLPOP"}).timeout_argument, 0u);
  EXPECT_EQ(Facts({"WAIT", "1"}).timeout_argument, 0u);
}

TEST(CommandFacts, WritesACommandWithTheTimeThatIsLeft) {
  const auto with_timeout = [](const Parsed& parsed, Duration left) {
    return WithTimeout(parsed.request(), CommandTable::BuiltIn()->Classify(parsed.request()), left);
  };
  const Parsed blpop({"BLPOP", "a", "b", "c", "d", "10"});
  EXPECT_EQ(with_timeout(blpop, Millis(2050)), MakeRequest({"BLPOP", "a", "b", "c", "d", "2.050"}));
  EXPECT_EQ(with_timeout(blpop, Duration(0)), MakeRequest({"BLPOP", "a", "b", "c", "d", "0.001"}));
  EXPECT_EQ(with_timeout(blpop, Millis(-5)), MakeRequest({"BLPOP", "a", "b", "c", "d", "0.001"}));
  const Parsed xread(std::string("XREAD BLOCK 10 STREAMS \"a b\" $\r\n"));
  EXPECT_EQ(with_timeout(xread, Duration(1)), MakeRequest({"XREAD", "BLOCK", "1", "STREAMS", "a b", "$"}));
}

TEST(CommandFacts, IsUncertainWhileWhatMattersIsNotInSight) {
  const std::string set = MakeRequest({"CONFIG", "SET", "maxmemory", "1", "repl-timeout", "2"});
  const auto table = CommandTable::BuiltIn();
  EXPECT_FALSE(table->Classify(Parsed(set.substr(0, 5)).request()).certain);
  EXPECT_FALSE(table->Classify(Parsed(set.substr(0, 20)).request()).certain);
  EXPECT_FALSE(table->Classify(Parsed(set.substr(0, 50)).request()).certain);
  EXPECT_TRUE(table->Classify(Parsed(set).request()).certain);
  const std::string get = MakeRequest({"GET", std::string(100, 'k')});
  EXPECT_TRUE(table->Classify(Parsed(get.substr(0, 40)).request()).certain);
  const std::string xread = MakeRequest({"XREAD", "COUNT", "1", "STREAMS", "s", "0"});
  EXPECT_FALSE(table->Classify(Parsed(xread.substr(0, 30)).request()).certain);
  EXPECT_TRUE(table->Classify(Parsed(xread.substr(0, xread.size() - 2)).request()).certain);
}

TEST(CommandTable, TakesTheServersWord) {
  std::string error;
  const std::string subcommands = "*2\r\n" + Row("mod|get", {"readonly"}) + Row("mod|put", {"write"});
  const auto table = CommandTable::FromCommandReply(
      "*5\r\n" + Row("json.get", {"readonly", "module"}) + Row("json.set", {"write"}) + Row("MOD", {}, subcommands) +
          Row("queue.take", {"write", "blocking"}) + Row("ping", {"write"}),
      &error);
  ASSERT_NE(table, nullptr) << error;
  const auto facts = [&](std::initializer_list<std::string_view> request) {
    return table->Classify(Parsed(request).request());
  };
  EXPECT_EQ(facts({"JSON.GET", "k"}).effect, Effect::kRead);
  EXPECT_EQ(facts({"JSON.SET", "k"}).effect, Effect::kWrite);
  EXPECT_EQ(facts({"mod", "GET"}).effect, Effect::kRead);
  EXPECT_EQ(facts({"mod", "put"}).effect, Effect::kWrite);
  EXPECT_TRUE(facts({"queue.take"}).blocks);
  EXPECT_EQ(facts({"queue.take", "q"}).timeout_argument, 0u);
  EXPECT_EQ(facts({"PING"}).effect, Effect::kWrite);
  EXPECT_EQ(facts({"GET", "k"}).effect, Effect::kWrite) << "this server has no GET";
  EXPECT_EQ(facts({"SHUTDOWN"}).refusal, Refusal::kShutdown) << "the list in the code stays";
}

TEST(CommandTable, TakesServersBeforeRedis7AndResp3) {
  std::string error;
  const auto table = CommandTable::FromCommandReply(
      "*2\r\n" + Row("memory", {"readonly"}) + "*3\r\n$3\r\nget\r\n:2\r\n~1\r\n+readonly\r\n", &error);
  ASSERT_NE(table, nullptr) << error;
  EXPECT_EQ(table->Classify(Parsed({"MEMORY", "USAGE", "k"}).request()).effect, Effect::kRead);
  EXPECT_EQ(table->Classify(Parsed({"GET", "k"}).request()).effect, Effect::kRead);
  EXPECT_EQ(table->Classify(Parsed({"CLIENT", "SETNAME", "n"}).request()).connection,
            ConnectionCommand::kClientSetName);
}

TEST(CommandTable, RefusesWhatIsNoAnswerToCommand) {
  std::string many = "*" + std::to_string(kMaxCommands + 1) + "\r\n";
  for (size_t i = 0; i <= kMaxCommands; ++i) many += Row("c" + std::to_string(i), {});
  for (const std::string& reply : {std::string(""), std::string("+OK\r\n"), std::string("-ERR no\r\n"),
                                   std::string("*0\r\n"), std::string("*1\r\n:1\r\n"), std::string("*1\r\n*0\r\n"),
                                   std::string("*2\r\n") + Row("get", {}), std::string("*1\r\n$?\r\n"), many}) {
    std::string error;
    EXPECT_EQ(CommandTable::FromCommandReply(reply, &error), nullptr) << reply.substr(0, 40);
    EXPECT_FALSE(error.empty());
  }
}

}  // namespace
}  // namespace hive::resp
