// Goal: with --write-acks N a client is told of a write only when N replicas have it, whatever is stopped or killed,
// and is told the truth when they do not. Method: a leader and a replica, both real; the replica stopped, the leader
// killed, leadership moved, under clients that compare what they were told with what there is. All of it with redis 7
// and with Valkey 8, whose WAIT counts in another way: behind a PING, redis waits for the PING, too; Valkey waits for
// nothing.
#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "tests/unit/proxy/end_to_end/crowd.h"
#include "tests/unit/proxy/end_to_end/fixture.h"

namespace hive::proxy {
namespace {

int64_t NowMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const std::string kUnconfirmed = "-UNCONFIRMED applied on the leader, 0 of 1 replicas confirmed\r\n";

class WriteAcksTest : public ProxyTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    redis_server_ = std::string(GetParam()) + "-server";
    const std::string search = "command -v " + redis_server_ + " >/dev/null";
    if (std::system(search.c_str()) != 0) GTEST_SKIP() << "no " << redis_server_ << " in PATH: ./hive test gets one";
  }
  // How often redis A was asked for confirmation.
  int64_t Rounds() {
    const std::string stats = Direct(redis_a_, {"INFO", "commandstats"});
    const size_t at = stats.find("cmdstat_wait:calls=");
    return at == std::string::npos ? 0 : std::stoll(stats.substr(at + 19));
  }
  void StopReplica() {
    b_->Signal(SIGSTOP);
    usleep(50000);  // what it had confirmed by then has arrived
  }
};

TEST_P(WriteAcksTest, WhatIsAcknowledgedIsOnTheReplica) {
  StartPair({"--write-acks=1"});
  RespClient client(proxy_);
  RespClient replica(redis_b_);
  for (int i = 0; i < 300; ++i) {
    const std::string n = std::to_string(i);
    ASSERT_EQ(client.Command({"SET", "k", n}), "+OK\r\n");
    ASSERT_EQ(replica.Command({"GET", "k"}), "$" + std::to_string(n.size()) + "\r\n" + n + "\r\n");
  }
  std::string batch;
  for (int i = 0; i < 500; ++i) batch += "RPUSH list x\r\nLLEN list\r\n";
  client.Send(batch);
  for (int i = 1; i <= 500; ++i) {
    const std::string length = ":" + std::to_string(i) + "\r\n";
    ASSERT_EQ(client.Reply(), length);
    ASSERT_EQ(client.Reply(), length);
  }
  EXPECT_EQ(replica.Command({"LLEN", "list"}), ":500\r\n");
}

TEST_P(WriteAcksTest, StoppedReplicaIsToldAfterTheTimeout) {
  StartPair({"--write-acks=1", "--write-acks-timeout=400ms"});
  RespClient client(proxy_);
  RespClient other(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  StopReplica();
  int64_t start = NowMillis();
  client.Send("GET k\r\nSET k 2\r\nGET k\r\nSET k 3\r\nGET k\r\nSET k\r\n");
  EXPECT_EQ(client.Reply(), "$1\r\n1\r\n");  // reads wait for nothing ...
  EXPECT_EQ(other.Command({"GET", "k"}), "$1\r\n3\r\n");
  EXPECT_LT(NowMillis() - start, 300);
  EXPECT_EQ(client.Reply(), kUnconfirmed);
  EXPECT_GE(NowMillis() - start, 390);
  EXPECT_LT(NowMillis() - start, 1000);
  EXPECT_EQ(client.Reply(), "$1\r\n2\r\n");  // ... but for their place
  EXPECT_EQ(client.Reply(), kUnconfirmed);
  EXPECT_EQ(client.Reply(), "$1\r\n3\r\n");
  EXPECT_TRUE(client.Reply().starts_with("-ERR wrong number"));
  EXPECT_LT(NowMillis() - start, 1000);  // one question for all that came together
  start = NowMillis();
  EXPECT_TRUE(client.Command({"INCR", "list", "x"}).starts_with("-ERR"));  // nothing was written
  EXPECT_LT(NowMillis() - start, 300);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.Command({"SET", "k", "4"}), kUnconfirmed);
  b_->Signal(SIGCONT);
  usleep(100000);
  EXPECT_EQ(client.Command({"SET", "k", "5"}), "+OK\r\n");
}

// The leader's pod is cut off from replicas and coordinators alike: the lease runs out first.
TEST_P(WriteAcksTest, WithoutALeaseItIsToldAfterTheTimeoutToo) {
  StartPair({"--write-acks=1", "--write-acks-timeout=2s", "--hold-timeout=10s"});
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  StopReplica();
  watch_->SetEchoing(false);
  int64_t start = NowMillis();
  client.SendCommand({"SET", "k", "2"});
  EXPECT_EQ(client.Reply(), kUnconfirmed);
  EXPECT_GE(NowMillis() - start, 1990);
  EXPECT_LT(NowMillis() - start, 5000);
}

// Replicas confirm, but another leader may have been elected: that is no reason to tell.
TEST_P(WriteAcksTest, WithoutALeaseConfirmationsAreNotEnough) {
  StartPair({"--write-acks=1", "--write-acks-timeout=5s", "--hold-timeout=10s"});
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  StopReplica();
  watch_->SetEchoing(false);
  client.SendCommand({"SET", "k", "2"});
  EXPECT_TRUE(client.Quiet(1200));
  const int64_t rounds = Rounds();
  b_->Signal(SIGCONT);
  EXPECT_TRUE(client.Quiet(500));
  EXPECT_LE(Rounds(), rounds + 1);  // asked once
  watch_->SetEchoing(true);
  EXPECT_EQ(client.Reply(), "+OK\r\n");
}

TEST_P(WriteAcksTest, ARedisThatStopsAnsweringIsNotAskedAnew) {
  StartPair({"--write-acks=1", "--write-acks-timeout=3s"});
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  StopReplica();
  const int64_t start = NowMillis();
  client.SendCommand({"SET", "k", "2"});
  EXPECT_TRUE(client.Quiet(200));  // it is executed, and WAIT is under way
  a_->Signal(SIGSTOP);
  EXPECT_EQ(client.Reply(), kUnconfirmed);
  EXPECT_GE(NowMillis() - start, 2990);
  EXPECT_LT(NowMillis() - start, 5500);  // and not the same again
  a_->Signal(SIGCONT);
}

TEST_P(WriteAcksTest, WhatComesDuringARoundIsForTheNext) {
  StartPair({"--write-acks=1", "--write-acks-timeout=500ms"});
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  StopReplica();
  client.SendCommand({"SET", "k", "2"});
  EXPECT_TRUE(client.Quiet(200));
  client.SendCommand({"SET", "k", "3"});  // its reply comes while the question about the other one is under way
  EXPECT_EQ(client.Reply(), kUnconfirmed);
  b_->Signal(SIGCONT);
  EXPECT_EQ(client.Reply(), "+OK\r\n");
}

TEST_P(WriteAcksTest, NoReplicaAtAllIsTooFew) {
  StartAll({"--write-acks=1", "--write-acks-timeout=100ms"});
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), kUnconfirmed);
  EXPECT_EQ(client.Command({"GET", "k"}), "$1\r\n1\r\n");
  EXPECT_EQ(client.Command({"BLPOP", "q", "0.1"}), "*-1\r\n");
}

TEST_P(WriteAcksTest, LargeRepliesOfWritesWaitToo) {
  StartPair({"--write-acks=1", "--write-acks-timeout=300ms"});
  RespClient client(proxy_);
  const std::string value(3 << 20, 'x');
  EXPECT_EQ(client.Command({"SET", "k", value}), "+OK\r\n");
  const std::string bulk = "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  EXPECT_TRUE(client.Command({"GETSET", "k", "1"}) == bulk);
  EXPECT_EQ(client.Command({"SET", "k", value}), "+OK\r\n");
  StopReplica();
  EXPECT_EQ(client.Command({"GETDEL", "k"}), kUnconfirmed);
  EXPECT_EQ(client.Command({"EXISTS", "k"}), ":0\r\n");
}

TEST_P(WriteAcksTest, ManyClientsShareAQuestion) {
  StartPair({"--write-acks=1"});
  RespClient watcher(proxy_);
  EXPECT_TRUE(watcher.Command({"PSUBSCRIBE", "*"}).starts_with("*3"));
  const int64_t rounds_before = Rounds();
  Crowd crowd;
  std::atomic<int64_t> writes = 0;
  for (int i = 0; i < 50; ++i) {
    crowd.Add([this, &crowd, &writes, i] {
      RespClient client(proxy_);
      const std::string key = "n:" + std::to_string(i);
      for (int64_t n = 1; !crowd.stopping(); ++n) {
        if (!crowd.Expect(key, client.Command({"INCR", key}), ":" + std::to_string(n) + "\r\n")) return;
        ++writes;
      }
    });
  }
  usleep(1000000);
  crowd.Stop();
  EXPECT_EQ(crowd.complaints(), "");
  const int64_t rounds = Rounds() - rounds_before;
  EXPECT_GT(writes, 500);
  EXPECT_LT(rounds, writes / 3) << writes;
  RecordProperty("writes", std::to_string(writes));
  RecordProperty("rounds", std::to_string(rounds));
  EXPECT_TRUE(watcher.Quiet(50));  // the questions are no messages to anyone
}

TEST_P(WriteAcksTest, NoAcknowledgedWriteIsLostWithTheLeader) {
  StartPair({"--write-acks=1", "--write-acks-timeout=5s"});
  constexpr int kClients = 30;
  std::vector<std::atomic<int64_t>> acknowledged(kClients);
  Crowd crowd;
  for (int i = 0; i < kClients; ++i) {
    crowd.Add([this, &crowd, &acknowledged, i] {
      const std::string key = "n:" + std::to_string(i);
      while (!crowd.stopping()) {
        RespClient client(proxy_);
        std::string reply;
        do {
          reply = client.Command({"INCR", key});
          if (reply.starts_with(":")) acknowledged[i] = std::stoll(reply.substr(1));
        } while (reply.starts_with(":") && !crowd.stopping());
      }
    });
  }
  usleep(500000);
  // The replica falls behind; what the leader does meanwhile dies with it.
  b_->Signal(SIGSTOP);
  usleep(100000);
  a_->Signal(SIGKILL);
  a_->Wait(5);
  watch_->SetNoLeader();
  std::vector<int64_t> before(kClients);
  usleep(200000);
  for (int i = 0; i < kClients; ++i) before[i] = acknowledged[i];
  b_->Signal(SIGCONT);
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  int64_t sum = 0;
  for (int i = 0; i < kClients; ++i) {
    const std::string there = Direct(redis_b_, {"GET", "n:" + std::to_string(i)});
    const int64_t survived = there == "$-1\r\n" ? 0 : std::stoll(there.substr(there.find('\n') + 1));
    EXPECT_GE(survived, before[i]);
    sum += before[i];
  }
  EXPECT_GT(sum, 500);
  Switch();
  crowd.Stop();
}

TEST_P(WriteAcksTest, LeaderChangeWhileUnconfirmedCloses) {
  StartPair({"--write-acks=1", "--write-acks-timeout=5s"});
  RespClient writer(proxy_);
  RespClient reader(proxy_);
  EXPECT_EQ(writer.Command({"SET", "k", "1"}), "+OK\r\n");
  EXPECT_EQ(reader.Command({"GET", "k"}), "$1\r\n1\r\n");
  StopReplica();
  writer.SendCommand({"SET", "k", "2"});
  EXPECT_TRUE(writer.Quiet(200));
  // The same redis under another term: it may have been a replica in between.
  watch_->SetLeader(2, redis_a_);
  EXPECT_EQ(writer.Reply(1000), "<closed>");
  RespClient again(proxy_);
  again.SendCommand({"SET", "k", "3"});
  EXPECT_TRUE(again.Quiet(200));
  b_->Signal(SIGCONT);
  EXPECT_EQ(again.Reply(1000), "+OK\r\n");
  StopReplica();
  again.SendCommand({"SET", "k", "4"});
  EXPECT_TRUE(again.Quiet(200));
  watch_->SetWriteState(hive::v1::WRITE_STATE_HOLD);
  watch_->AwaitHeard();
  Switch(3);
  EXPECT_EQ(again.Reply(1000), "<closed>");
  b_->Signal(SIGCONT);
}

TEST_P(WriteAcksTest, AHandoverInNameOnlyConfirmsNothing) {
  StartPair({"--write-acks=1", "--write-acks-timeout=5s"});
  RespClient writer(proxy_);
  EXPECT_EQ(writer.Command({"SET", "k", "1"}), "+OK\r\n");
  // B never hears of the next write, is announced after a HOLD all the same, and A loses the write to it.
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "127.0.0.1", "1"}), "+OK\r\n");
  writer.SendCommand({"SET", "k", "2"});
  EXPECT_TRUE(writer.Quiet(100));
  watch_->SetWriteState(hive::v1::WRITE_STATE_HOLD);
  AwaitHeard();
  EXPECT_EQ(Direct(redis_a_, {"REPLICAOF", "127.0.0.1", "1"}), "+OK\r\n");
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  Switch();
  Replicate(redis_a_, redis_b_);
  AwaitInSync(redis_b_, redis_a_);
  EXPECT_EQ(writer.Reply(2000), "<closed>");
  EXPECT_EQ(Direct(redis_b_, {"GET", "k"}), "$1\r\n1\r\n");
}

TEST_P(WriteAcksTest, AClientsOwnWaitKeepsItsMeaning) {
  StartPair({"--write-acks=1", "--write-acks-timeout=200ms"});
  RespClient client(proxy_);
  client.Send("SET k 1\r\nWAIT 1 1000\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), ":1\r\n");
  StopReplica();
  client.Send("SET k 2\r\nWAIT 1 300\r\n");
  EXPECT_EQ(client.Reply(), kUnconfirmed);
  EXPECT_EQ(client.Reply(), ":0\r\n");
}

// Neither may a connection that wrote nothing, or nothing since, be told of what others wrote.
TEST_P(WriteAcksTest, APingInBetweenConfirmsNothing) {
  StartPair({"--write-acks-timeout=200ms"});
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  EXPECT_EQ(client.Command({"WAIT", "1", "1000"}), ":1\r\n");
  StopReplica();
  client.Send("SET k 2\r\nPING\r\nGET k\r\nWAIT 1 100\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "+PONG\r\n");
  EXPECT_EQ(client.Reply(), "$1\r\n2\r\n");
  EXPECT_EQ(client.Reply(), ":0\r\n");
  EXPECT_EQ(client.Command({"PING"}), "+PONG\r\n");
  EXPECT_EQ(client.Command({"WAIT", "1", "100"}), ":0\r\n");
  EXPECT_EQ(RespClient(proxy_).Command({"WAIT", "1", "100"}), ":0\r\n");
  b_->Signal(SIGCONT);
  EXPECT_EQ(client.Command({"WAIT", "1", "2000"}), ":1\r\n");
}

// Redis has it since 7.2.
TEST_P(WriteAcksTest, AClientsOwnWaitaofKeepsItsMeaning) {
  if (redis_server_ != "valkey-server") GTEST_SKIP() << "WAITAOF is not known there";
  StartPair();
  for (const Endpoint& redis : {redis_a_, redis_b_}) {
    EXPECT_EQ(Direct(redis, {"CONFIG", "SET", "appendonly", "yes", "appendfsync", "always"}), "+OK\r\n");
  }
  RespClient client(proxy_);
  client.Send("SET k 1\r\nWAITAOF 1 1 5000\r\nGET k\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "*2\r\n:1\r\n:1\r\n");
  EXPECT_EQ(client.Reply(), "$1\r\n1\r\n");
  StopReplica();
  EXPECT_EQ(client.Command({"SET", "k", "2"}), "+OK\r\n");
  EXPECT_EQ(client.Command({"WAITAOF", "1", "1", "300"}), "*2\r\n:1\r\n:0\r\n");
}

TEST_P(WriteAcksTest, AuthenticatesAndReconnects) {
  const std::vector<std::string> secured = {"--requirepass", "secret", "--masterauth", "secret"};
  a_ = StartRedis(redis_a_, secured);
  std::vector<std::string> replica = secured;
  replica.insert(replica.end(), {"--replicaof", redis_a_.ip + " " + std::to_string(redis_a_.port)});
  b_ = StartRedis(redis_b_, replica);
  watch_ = std::make_unique<FakeWatch>(coordinator_);
  watch_->SetLeader(1, redis_a_);
  setenv("HIVE_REDIS_PASSWORD", "secret", 1);
  setenv("HIVE_PEER_SECRET_FILE", (folder_ + "/peer-secret").c_str(), 1);  // the fake coordinator proves none
  std::ofstream(folder_ + "/peer-secret") << "none\n";
  StartProxy({"--write-acks=1", "--write-acks-timeout=3s"});
  unsetenv("HIVE_PEER_SECRET_FILE");
  unsetenv("HIVE_REDIS_PASSWORD");
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"AUTH", "secret"}), "+OK\r\n");
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  // Its connection is killed, in the midst of a round, too.
  RespClient admin(redis_a_);
  EXPECT_EQ(admin.Command({"AUTH", "secret"}), "+OK\r\n");
  EXPECT_EQ(admin.Command({"SET", "l", "1"}), "+OK\r\n");
  StopReplica();
  client.SendCommand({"SET", "k", "2"});
  EXPECT_TRUE(client.Quiet(100));
  const std::string list = admin.Command({"CLIENT", "LIST"});
  const size_t at = list.find("cmd=wait");
  ASSERT_NE(at, std::string::npos) << list;
  const size_t line = list.rfind("id=", at);
  EXPECT_EQ(admin.Command({"CLIENT", "KILL", "ID", list.substr(line + 3, list.find(' ', line) - line - 3)}), ":1\r\n");
  EXPECT_TRUE(client.Quiet(200));
  b_->Signal(SIGCONT);
  EXPECT_EQ(client.Reply(3000), "+OK\r\n");
}

INSTANTIATE_TEST_SUITE_P(Servers, WriteAcksTest, testing::Values("redis", "valkey"),
                         [](const auto& server) { return std::string(server.param); });

}  // namespace
}  // namespace hive::proxy
