// Goal: through the proxy, commands mean what they mean on a connection to redis. Method: a real redis-server leads.
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "proxy/resp/replies.h"
#include "tests/unit/proxy/end_to_end/fixture.h"

namespace hive::proxy {
namespace {

using CommandsTest = ProxyTest;

TEST_F(CommandsTest, SetAndGet) {
  StartAll();
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "v"}), "+OK\r\n");
  EXPECT_EQ(client.Command({"GET", "k"}), "$1\r\nv\r\n");
  EXPECT_EQ(Direct(redis_a_, {"GET", "k"}), "$1\r\nv\r\n");
}

TEST_F(CommandsTest, InlineCommandsAndBlankLines) {
  StartAll();
  RespClient client(proxy_);
  client.Send("\r\nSET k \"a b\"\r\n\r\nGET k\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "$3\r\na b\r\n");
}

TEST_F(CommandsTest, DeepPipelineKeepsItsOrder) {
  StartAll();
  RespClient client(proxy_);
  std::string pipeline;
  for (int i = 0; i < 20000; ++i) resp::AppendRequest(&pipeline, {"ECHO", std::to_string(i)});
  client.Send(pipeline);
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(client.Reply(), resp::BulkReply(std::to_string(i)));
}

TEST_F(CommandsTest, CommandsInPiecesOfOneByte) {
  StartAll();
  RespClient client(proxy_);
  for (const char c : resp::MakeRequest({"SET", "k", "hello"}) + resp::MakeRequest({"GET", "k"})) {
    client.Send(std::string_view(&c, 1));
  }
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "$5\r\nhello\r\n");
}

std::string Pattern(size_t size) {
  std::string value(size, 'x');
  for (size_t i = 0; i < size; i += 4096) value[i] = static_cast<char>('a' + i / 4096 % 26);
  return value;
}

void RoundTrip(RespClient& client, size_t size) {
  const std::string value = Pattern(size);
  EXPECT_EQ(client.Command({"SET", "big", value}), "+OK\r\n");
  const std::string reply = client.Command({"GET", "big"});
  EXPECT_EQ(reply.size(), resp::BulkReply(value).size());
  EXPECT_TRUE(reply == resp::BulkReply(value));
  EXPECT_EQ(client.Command({"PING"}), "+PONG\r\n");
}

TEST_F(CommandsTest, ValuesOfManySizes) {
  StartAll();
  RespClient client(proxy_);
  for (const size_t size : {0, 1, 65535, 65536, 100000, 262144, 300000, 1 << 20, 8 << 20}) RoundTrip(client, size);
}

TEST_F(CommandsTest, SixtyFourMebibytesAreNotHeldInMemory) {
  StartAll();
  RespClient client(proxy_);
  RoundTrip(client, 64 << 20);
  std::string line;
  FILE* status = fopen(("/proc/" + std::to_string(proxy_process_->pid()) + "/status").c_str(), "r");
  ASSERT_NE(status, nullptr);
  char buffer[256];
  long peak_kib = 0;
  while (fgets(buffer, sizeof buffer, status) != nullptr) {
    sscanf(buffer, "VmHWM: %ld kB", &peak_kib);
  }
  fclose(status);
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(peak_kib, 60 * 1024);
#endif
}

TEST_F(CommandsTest, LargeValueForARedisThatStandsStill) {
  StartAll();
  RespClient client(proxy_);
  const std::string value = Pattern(24 << 20);
  a_->Signal(SIGSTOP);
  std::thread sender([&] { client.Send(resp::MakeRequest({"SET", "big", value}) + "STRLEN big\r\n"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  a_->Signal(SIGCONT);
  sender.join();
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), ":" + std::to_string(value.size()) + "\r\n");
  EXPECT_TRUE(Direct(redis_a_, {"GET", "big"}) == resp::BulkReply(value));
}

TEST_F(CommandsTest, NamesOfManySizes) {
  StartAll();
  RespClient client(proxy_);
  for (const size_t size : {100, 262100, 300000, 5 << 20}) {
    client.Send(resp::MakeRequest({std::string(size, 'x')}) + "PING\r\n");
    EXPECT_TRUE(client.Reply().starts_with("-ERR unknown command 'xxx")) << size;
    EXPECT_EQ(client.Reply(), "+PONG\r\n");
  }
}

TEST_F(CommandsTest, CommandsBehindALargeOneInOnePipeline) {
  StartAll();
  RespClient client(proxy_);
  std::string pipeline;
  for (int i = 0; i < 5; ++i) {
    resp::AppendRequest(&pipeline, {"SET", "big", std::string(700000, static_cast<char>('a' + i))});
    resp::AppendRequest(&pipeline, {"GETRANGE", "big", "0", "2"});
  }
  client.Send(pipeline);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(client.Reply(), "+OK\r\n");
    EXPECT_EQ(client.Reply(), resp::BulkReply(std::string(3, static_cast<char>('a' + i))));
  }
}

TEST_F(CommandsTest, Transactions) {
  StartAll();
  RespClient client(proxy_);
  client.Send("MULTI\r\nSET k 1\r\nINCR k\r\nEXEC\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "+QUEUED\r\n");
  EXPECT_EQ(client.Reply(), "+QUEUED\r\n");
  EXPECT_EQ(client.Reply(), "*2\r\n+OK\r\n:2\r\n");
  RespClient other(proxy_);
  EXPECT_EQ(client.Command({"WATCH", "k"}), "+OK\r\n");
  EXPECT_EQ(other.Command({"SET", "k", "7"}), "+OK\r\n");
  client.Send("MULTI\r\nINCR k\r\nEXEC\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "+QUEUED\r\n");
  EXPECT_EQ(client.Reply(), "*-1\r\n");
}

TEST_F(CommandsTest, RefusedCommandSpoilsItsTransaction) {
  StartAll();
  RespClient client(proxy_);
  client.Send("MULTI\r\nSET k 1\r\nREPLICAOF NO ONE\r\nEXEC\r\nGET k\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "+QUEUED\r\n");
  EXPECT_TRUE(client.Reply().starts_with("-ERR refused by hive-proxy"));
  EXPECT_TRUE(client.Reply().starts_with("-EXECABORT"));
  EXPECT_EQ(client.Reply(), "$-1\r\n");
}

TEST_F(CommandsTest, AdminsMayDoWhatWouldBreakTheHive) {
  StartAll({"--allow-admin"});
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"CONFIG", "SET", "repl-timeout", "77"}), "+OK\r\n");
  EXPECT_EQ(Direct(redis_a_, {"CONFIG", "GET", "repl-timeout"}), "*2\r\n$12\r\nrepl-timeout\r\n$2\r\n77\r\n");
  client.Send("MULTI\r\nDEBUG SLEEP 0\r\nCLIENT PAUSE 1 WRITE\r\nCLIENT UNPAUSE\r\nEXEC\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.Reply(), "+QUEUED\r\n");
  EXPECT_EQ(client.Reply(), "*3\r\n+OK\r\n+OK\r\n+OK\r\n");
  client.Send("CLIENT REPLY SKIP\r\nDEBUG SLEEP 0\r\nDEBUG SLEEP 0\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  // What follows these is no RESP.
  EXPECT_TRUE(RespClient(proxy_).Command({"SYNC"}).starts_with("-ERR refused by hive-proxy"));

  RespClient other(proxy_);
  EXPECT_EQ(other.Command({"REPLICAOF", redis_b_.ip, std::to_string(redis_b_.port)}), "+OK\r\n");
  EXPECT_TRUE(Direct(redis_a_, {"ROLE"}).starts_with("*5\r\n$5\r\nslave\r\n"));
  Switch();
  AwaitHeard();
  EXPECT_EQ(other.Command({"SET", "k", "v"}), "+OK\r\n");
  other.SendCommand({"SHUTDOWN", "NOW"});
  EXPECT_EQ(other.Reply(), "<closed>");
  EXPECT_EQ(b_->Wait(5), 0);
}

TEST_F(CommandsTest, PublishAndSubscribeInBothProtocols) {
  StartAll();
  RespClient publisher(proxy_);
  for (const bool resp3 : {false, true}) {
    RespClient subscriber(proxy_);
    const std::string mark = resp3 ? ">" : "*";
    if (resp3) {
      EXPECT_TRUE(subscriber.Command({"HELLO", "3"}).starts_with("%"));
    }
    subscriber.SendCommand({"SUBSCRIBE", "a", "b"});
    EXPECT_EQ(subscriber.Reply(), mark + "3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    EXPECT_EQ(subscriber.Reply(), mark + "3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    EXPECT_EQ(publisher.Command({"PUBLISH", "b", "hi"}), ":1\r\n");
    EXPECT_EQ(subscriber.Reply(), mark + "3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$2\r\nhi\r\n");
    EXPECT_EQ(subscriber.Command({"PING"}), resp3 ? "+PONG\r\n" : "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    const std::string big(3 << 20, 'm');
    EXPECT_EQ(publisher.Command({"PUBLISH", "a", big}), ":1\r\n");
    EXPECT_TRUE(subscriber.Reply() == mark + "3\r\n$7\r\nmessage\r\n$1\r\na\r\n" + resp::BulkReply(big));
    subscriber.SendCommand({"UNSUBSCRIBE"});
    EXPECT_TRUE(subscriber.Reply().starts_with(mark + "3\r\n$11\r\nunsubscribe\r\n"));
    EXPECT_TRUE(subscriber.Reply().starts_with(mark + "3\r\n$11\r\nunsubscribe\r\n"));
    EXPECT_EQ(subscriber.Command({"SET", "k", "v"}), "+OK\r\n");
    subscriber.SendCommand({"UNSUBSCRIBE"});
    EXPECT_EQ(subscriber.Reply(), mark + "3\r\n$11\r\nunsubscribe\r\n" + (resp3 ? "_\r\n" : "$-1\r\n") + ":0\r\n");
    EXPECT_EQ(subscriber.Command({"GET", "k"}), "$1\r\nv\r\n");
  }
}

TEST_F(CommandsTest, BlockingPop) {
  StartAll();
  RespClient waiter(proxy_);
  RespClient pusher(proxy_);
  waiter.SendCommand({"BLPOP", "list", "10"});
  EXPECT_TRUE(waiter.Quiet(100));
  EXPECT_EQ(pusher.Command({"RPUSH", "list", "x"}), ":1\r\n");
  EXPECT_EQ(waiter.Reply(), "*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
  // A client that goes away takes nothing with it.
  waiter.SendCommand({"BLPOP", "list", "10"});
  EXPECT_TRUE(waiter.Quiet(100));
  waiter.Close();
  usleep(200000);
  EXPECT_EQ(pusher.Command({"RPUSH", "list", "y"}), ":1\r\n");
  EXPECT_EQ(pusher.Command({"LLEN", "list"}), ":1\r\n");
}

TEST_F(CommandsTest, MonitorAndClientReply) {
  StartAll();
  RespClient monitor(proxy_);
  EXPECT_EQ(monitor.Command({"MONITOR"}), "+OK\r\n");
  RespClient client(proxy_);
  client.Send("CLIENT REPLY OFF\r\nSET k 1\r\nSET k 2\r\nCLIENT REPLY ON\r\nGET k\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "$1\r\n2\r\n");
  EXPECT_NE(monitor.Reply().find("\"CLIENT\" \"REPLY\""), std::string::npos);
  EXPECT_NE(monitor.Reply().find("\"SET\" \"k\" \"1\""), std::string::npos);
  client.Send("CLIENT REPLY SKIP\r\nSET k 3\r\nGET k\r\n");
  EXPECT_EQ(client.Reply(), "$1\r\n3\r\n");
}

TEST_F(CommandsTest, QuitAndReset) {
  StartAll();
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SELECT", "3"}), "+OK\r\n");
  EXPECT_EQ(client.Command({"RESET"}), "+RESET\r\n");
  EXPECT_EQ(client.Command({"SET", "k", "v"}), "+OK\r\n");
  EXPECT_EQ(Direct(redis_a_, {"GET", "k"}), "$1\r\nv\r\n");
  client.Send("GET k\r\nQUIT\r\nSET k late\r\n");
  EXPECT_EQ(client.Reply(), "$1\r\nv\r\n");
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "<closed>");
  EXPECT_EQ(Direct(redis_a_, {"GET", "k"}), "$1\r\nv\r\n");
}

TEST_F(CommandsTest, ProtocolErrors) {
  StartAll();
  for (const std::string_view bad : {"*1\r\n$x\r\n", "*x\r\n", "*1\r\n+OK\r\n", "SET \"k\r\n", "*1\r\n$-5\r\n"}) {
    RespClient client(proxy_);
    RespClient direct(redis_a_);
    client.Send("PING\r\n");
    client.Send(bad);
    direct.Send(bad);
    EXPECT_EQ(client.Reply(), "+PONG\r\n");
    EXPECT_EQ(client.Reply(), direct.Reply()) << bad;
    EXPECT_EQ(client.Reply(), "<closed>");
  }
}

TEST_F(CommandsTest, HalfClosedClientGetsItsReplies) {
  StartAll();
  RespClient client(proxy_);
  client.Send("SET k v\r\nGET k\r\n");
  client.HalfClose();
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "$1\r\nv\r\n");
  EXPECT_EQ(client.Reply(), "<closed>");
}

TEST_F(CommandsTest, OddEndsAreRedisOwn) {
  StartAll();
  const struct {
    std::string_view sent;
    int replies;
  } kTable[] = {
      {"CLIENT REPLY ON\r\nQUIT\r\n", 2},
      {"CLIENT REPLY x\r\nPING\r\n*99999999999\r\n", 3},
      {"CLIENT REPLY SKIP\r\nPING\r\nPING\r\nQUIT\r\n", 2},
      {"CLIENT REPLY SKIP\r\nPING\r\nPING\r\n*99999999999\r\n", 2},
      {"CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\nPING\r\nQUIT\r\n", 3},
      {"MULTI\r\nUNSUBSCRIBE\r\nMSET\r\nEXEC\r\nZCOUNT z -inf +inf ''\r\nQUIT\r\n", 6},
  };
  for (const bool half_close : {false, true}) {
    for (const auto& row : kTable) {
      RespClient direct(redis_a_);
      RespClient proxied(proxy_);
      for (RespClient* client : {&direct, &proxied}) client->Send(row.sent);
      if (half_close) proxied.HalfClose();
      for (int i = 0; i < row.replies; ++i) {
        const std::string reply = direct.Reply();
        EXPECT_NE(reply, "<closed>") << row.sent;
        EXPECT_EQ(proxied.Reply(), reply) << row.sent;
      }
      if (!row.sent.ends_with("PING\r\n")) {
        EXPECT_EQ(direct.Reply(), "<closed>") << row.sent;
        EXPECT_EQ(proxied.Reply(), "<closed>") << row.sent;
      }
    }
  }
  RespClient refused(proxy_);
  refused.Send("CLIENT REPLY SKIP\r\nSHUTDOWN\r\nSHUTDOWN\r\nPING\r\n");
  EXPECT_TRUE(refused.Reply().starts_with("-ERR unknown command 'refused by hive-proxy: SHUTDOWN would"));
  EXPECT_EQ(refused.Reply(), "+PONG\r\n");
}

TEST_F(CommandsTest, HalfClosedSubscriberGetsItsReplies) {
  StartAll();
  RespClient client(proxy_);
  client.Send("SUBSCRIBE a b\r\nPING\r\n");
  client.HalfClose();
  EXPECT_TRUE(client.Reply().ends_with(":1\r\n"));
  EXPECT_TRUE(client.Reply().ends_with(":2\r\n"));
  EXPECT_EQ(client.Reply(), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  EXPECT_EQ(client.Reply(1000), "<closed>");
}

TEST_F(CommandsTest, MaxClients) {
  StartAll({"--max-clients=2"});
  usleep(100000);  // the fixture's own client is gone
  RespClient one(proxy_);
  RespClient two(proxy_);
  EXPECT_EQ(one.Command({"PING"}), "+PONG\r\n");
  EXPECT_EQ(two.Command({"PING"}), "+PONG\r\n");
  RespClient three(proxy_);
  if (!authority_) {  // with TLS it would take a handshake to say so
    EXPECT_EQ(three.Reply(), "-ERR max number of clients reached\r\n");
  }
  EXPECT_EQ(three.Reply(), "<closed>");
  one.Close();
  usleep(100000);
  RespClient four(proxy_);
  EXPECT_EQ(four.Command({"PING"}), "+PONG\r\n");
}

TEST_F(CommandsTest, SlowReaderStallsOnlyItselfAndIsClosedAtItsLimit) {
  StartAll({"--client-output-limit=2MiB"});
  RespClient slow(proxy_);
  RespClient other(proxy_);
  EXPECT_EQ(other.Command({"SET", "v", std::string(100000, 'v')}), "+OK\r\n");
  std::string gets;
  for (int i = 0; i < 300; ++i) gets += "GET v\r\n";
  slow.Send(gets);
  usleep(300000);
  EXPECT_EQ(other.Command({"PING"}), "+PONG\r\n");
  sleep(7);  // longer than kSlowReaderGrace, and what the kernel holds is drained below
  int replies = 0;
  while (slow.Reply(2000).size() > 10) ++replies;
  EXPECT_LT(replies, 300);
  // One reply beyond the limit is not a client that does not read.
  EXPECT_EQ(other.Command({"SET", "v", std::string(20 << 20, 'v')}), "+OK\r\n");
  RespClient patient(proxy_);
  patient.Send("GET v\r\n");
  sleep(6);
  EXPECT_GT(patient.Reply().size(), 20u << 20);
}

}  // namespace
}  // namespace hive::proxy
