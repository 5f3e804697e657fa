// Goal: when the leader changes, each client sees what docs/proxy.md promises. Method: two real redis-servers, a watch
// that moves the leadership, kills, demotions and stops.
#include <sys/wait.h>

#include <chrono>
#include <string>

#include "proxy/resp/replies.h"
#include "tests/unit/proxy/end_to_end/fixture.h"

namespace hive::proxy {
namespace {

int64_t NowMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class LeaderChangeTest : public ProxyTest {
 protected:
  // What a coordinator does when A's redis dies: nobody leads for a while, then B.
  void Crash() {
    a_->Signal(SIGKILL);
    a_->Wait(5);
    watch_->SetNoLeader();
  }
  // Blocks redis A with a command that runs for a while on a connection of its own.
  void Block(int milliseconds) {
    blocker_ = std::make_unique<RespClient>(redis_a_);
    blocker_->SendCommand({"DEBUG", "SLEEP", std::to_string(milliseconds / 1000.0)});
    usleep(20000);
  }
  std::unique_ptr<RespClient> blocker_;
};

TEST_F(LeaderChangeTest, IdleClientNoticesNothing) {
  StartAll();
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "who", "a"}), "+OK\r\n");
  EXPECT_EQ(Direct(redis_b_, {"SET", "who", "b"}), "+OK\r\n");
  Crash();
  usleep(50000);
  Switch();
  EXPECT_EQ(client.Command({"GET", "who"}), "$1\r\nb\r\n");
}

TEST_F(LeaderChangeTest, NewCommandsAreHeldAndAnsweredByTheNewLeader) {
  StartAll();
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"PING"}), "+PONG\r\n");
  Crash();
  AwaitHeard();
  client.Send("SET k v\r\nGET k\r\n");
  RespClient fresh(proxy_);
  fresh.Send("GET k\r\n");
  RespClient gone(proxy_);
  gone.Send("SET gone 1\r\n");
  EXPECT_TRUE(client.Quiet(200));
  gone.Close();
  usleep(50000);
  Switch();
  EXPECT_EQ(client.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "$1\r\nv\r\n");
  EXPECT_EQ(fresh.Reply(), "$1\r\nv\r\n");
  EXPECT_EQ(Direct(redis_b_, {"GET", "gone"}), "$-1\r\n");
}

TEST_F(LeaderChangeTest, HoldTimeoutAnswersMasterdown) {
  StartAll({"--hold-timeout=300ms"});
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"PING"}), "+PONG\r\n");
  Crash();
  AwaitHeard();
  const int64_t start = NowMillis();
  client.Send("SET k v\r\nMULTI\r\nINCR n\r\n");
  EXPECT_TRUE(client.Reply().starts_with("-MASTERDOWN "));
  EXPECT_GE(NowMillis() - start, 290);
  EXPECT_LT(NowMillis() - start, 1000);
  EXPECT_TRUE(client.Reply().starts_with("-MASTERDOWN "));
  EXPECT_TRUE(client.Reply().starts_with("-MASTERDOWN "));
  Switch();
  EXPECT_EQ(client.Command({"INCR", "n"}), "+QUEUED\r\n");  // its MULTI was dropped: it must not run alone
  EXPECT_TRUE(client.Command({"EXEC"}).starts_with("-EXECABORT"));
  EXPECT_EQ(client.Command({"GET", "n"}), "$-1\r\n");
  EXPECT_EQ(client.Command({"GET", "k"}), "$-1\r\n");
}

TEST_F(LeaderChangeTest, WriteInFlightClosesItsClient) {
  StartAll();
  RespClient writer(proxy_);
  EXPECT_EQ(writer.Command({"PING"}), "+PONG\r\n");
  Block(3000);
  writer.Send("SET k v\r\n");
  usleep(100000);
  Switch();
  EXPECT_EQ(writer.Reply(2000), "<closed>");
  EXPECT_EQ(Direct(redis_b_, {"GET", "k"}), "$-1\r\n");
}

TEST_F(LeaderChangeTest, WriteInFlightAtACrashClosesItsClient) {
  StartAll();
  RespClient writer(proxy_);
  EXPECT_EQ(writer.Command({"PING"}), "+PONG\r\n");
  Block(3000);
  writer.Send("SET k v\r\n");
  usleep(100000);
  Crash();
  Switch();
  EXPECT_EQ(writer.Reply(2000), "<closed>");
  EXPECT_EQ(Direct(redis_b_, {"GET", "k"}), "$-1\r\n");
}

TEST_F(LeaderChangeTest, ReadInFlightIsSentAgain) {
  StartAll();
  EXPECT_EQ(Direct(redis_b_, {"SET", "k", "b"}), "+OK\r\n");
  RespClient reader(proxy_);
  EXPECT_EQ(reader.Command({"PING"}), "+PONG\r\n");
  Block(2000);
  reader.Send("GET k\r\nGET k\r\n");
  usleep(50000);
  const int64_t start = NowMillis();
  Switch();
  EXPECT_EQ(reader.Reply(), "$1\r\nb\r\n");
  EXPECT_EQ(reader.Reply(), "$1\r\nb\r\n");
  EXPECT_LT(NowMillis() - start, 500);
}

TEST_F(LeaderChangeTest, ReadInFlightAtACrashMayHaveKilledIt) {
  StartAll();
  RespClient reader(proxy_);
  EXPECT_EQ(reader.Command({"PING"}), "+PONG\r\n");
  Block(3000);
  reader.Send("GET k\r\n");
  usleep(50000);
  Crash();
  Switch();
  EXPECT_EQ(reader.Reply(2000), "<closed>");
}

TEST_F(LeaderChangeTest, ReadOfALeaderThatStoppedAnsweringIsNotSentAgain) {
  StartAll();
  RespClient reader(proxy_);
  EXPECT_EQ(reader.Command({"PING"}), "+PONG\r\n");
  a_->Signal(SIGSTOP);
  reader.Send("GET k\r\n");
  usleep(700000);
  Switch();
  EXPECT_EQ(reader.Reply(2000), "<closed>");
  a_->Signal(SIGCONT);
}

TEST_F(LeaderChangeTest, DemotedLeadersRefusalIsNotSeen) {
  StartAll();
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  EXPECT_EQ(Direct(redis_a_, {"REPLICAOF", "127.0.0.1", "1"}), "+OK\r\n");
  client.Send("INCR k\r\nGET k\r\nINCR k\r\n");
  EXPECT_TRUE(client.Quiet(200));
  EXPECT_EQ(Direct(redis_b_, {"SET", "k", "10"}), "+OK\r\n");
  Switch();
  EXPECT_EQ(client.Reply(), ":11\r\n");
  EXPECT_EQ(client.Reply(), "$2\r\n11\r\n");
  EXPECT_EQ(client.Reply(), ":12\r\n");
}

TEST_F(LeaderChangeTest, NothingIsSentBeforeTheNewLeaderIsAMaster) {
  StartAll();
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"PING"}), "+PONG\r\n");
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "127.0.0.1", "1"}), "+OK\r\n");
  Switch();
  AwaitHeard();
  client.Send("SET k v\r\n");
  EXPECT_TRUE(client.Quiet(200));
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  EXPECT_EQ(client.Reply(500), "+OK\r\n");
}

TEST_F(LeaderChangeTest, TransactionsGoOnUnlessTheyWatch) {
  StartAll();
  RespClient multi(proxy_);
  RespClient watching(proxy_);
  RespClient watched(proxy_);
  EXPECT_EQ(multi.Command({"MULTI"}), "+OK\r\n");
  EXPECT_EQ(multi.Command({"INCR", "k"}), "+QUEUED\r\n");
  EXPECT_EQ(watching.Command({"WATCH", "k"}), "+OK\r\n");
  EXPECT_EQ(watched.Command({"WATCH", "k"}), "+OK\r\n");
  EXPECT_EQ(watched.Command({"MULTI"}), "+OK\r\n");
  Crash();
  Switch();
  EXPECT_EQ(multi.Command({"INCR", "k"}), "+QUEUED\r\n");
  EXPECT_EQ(multi.Command({"EXEC"}), "*2\r\n:1\r\n:2\r\n");
  EXPECT_EQ(watching.Command({"GET", "k"}), "$1\r\n2\r\n");
  EXPECT_EQ(watching.Command({"MULTI"}), "+OK\r\n");
  EXPECT_EQ(watching.Command({"INCR", "k"}), "+QUEUED\r\n");
  EXPECT_EQ(watching.Command({"EXEC"}), "*-1\r\n");
  EXPECT_EQ(watched.Command({"EXEC"}), "*-1\r\n");
  for (RespClient* client : {&multi, &watching, &watched}) {
    client->Send("MULTI\r\nINCR k\r\nEXEC\r\n");
    EXPECT_EQ(client->Reply(), "+OK\r\n");
    EXPECT_EQ(client->Reply(), "+QUEUED\r\n");
    EXPECT_TRUE(client->Reply().starts_with("*1\r\n:"));
  }
  EXPECT_EQ(multi.Command({"GET", "k"}), "$1\r\n5\r\n");
}

TEST_F(LeaderChangeTest, SubscribersAreSubscribedAgain) {
  StartAll();
  RespClient two(proxy_);
  RespClient three(proxy_);
  two.SendCommand({"SUBSCRIBE", "a", "b"});
  EXPECT_TRUE(two.Reply().ends_with(":1\r\n"));
  EXPECT_TRUE(two.Reply().ends_with(":2\r\n"));
  two.SendCommand({"UNSUBSCRIBE", "b"});
  EXPECT_TRUE(two.Reply().ends_with(":1\r\n"));
  EXPECT_TRUE(three.Command({"HELLO", "3"}).starts_with("%"));
  three.SendCommand({"PSUBSCRIBE", "*"});
  EXPECT_TRUE(three.Reply().ends_with(":1\r\n"));
  Crash();
  Switch();
  std::string receivers;
  for (int i = 0; i < 100 && receivers != ":2\r\n"; ++i) {
    receivers = Direct(redis_b_, {"PUBLISH", "a", "hi"});
    usleep(10000);
  }
  EXPECT_EQ(receivers, ":2\r\n");
  std::string message;
  while ((message = two.Reply(300)) != "<nothing>") {
    EXPECT_EQ(message, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
  }
  EXPECT_EQ(three.Reply(), ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$2\r\nhi\r\n");
  EXPECT_EQ(Direct(redis_b_, {"PUBLISH", "b", "hi"}), ":1\r\n");
  EXPECT_EQ(two.Command({"PING"}), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
}

TEST_F(LeaderChangeTest, BlockedClientsBlockOnTheNewLeaderWithTheTimeLeft) {
  StartAll();
  EXPECT_TRUE(Direct(redis_a_, {"XADD", "s", "1-1", "f", "v"}).starts_with("$3"));
  EXPECT_TRUE(Direct(redis_b_, {"XADD", "s", "1-1", "f", "v"}).starts_with("$3"));
  RespClient popper(proxy_);
  RespClient reader(proxy_);
  RespClient waiter(proxy_);
  popper.SendCommand({"BLPOP", "list", "30"});
  reader.SendCommand({"XREAD", "BLOCK", "30000", "STREAMS", "s", "1-1"});
  const int64_t start = NowMillis();
  waiter.SendCommand({"BLPOP", "other", "2"});
  EXPECT_TRUE(popper.Quiet(500));
  // Demoted: -UNBLOCKED for all of them, which none of them sees.
  EXPECT_EQ(Direct(redis_a_, {"REPLICAOF", "127.0.0.1", "1"}), "+OK\r\n");
  EXPECT_TRUE(popper.Quiet(100));
  Switch();
  EXPECT_TRUE(reader.Quiet(200));
  EXPECT_EQ(Direct(redis_b_, {"RPUSH", "list", "x"}), ":1\r\n");
  EXPECT_TRUE(Direct(redis_b_, {"XADD", "s", "1-2", "f", "v"}).starts_with("$3"));
  EXPECT_EQ(popper.Reply(1000), "*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
  EXPECT_TRUE(reader.Reply(1000).starts_with("*1\r\n*2\r\n$1\r\ns\r\n"));
  EXPECT_EQ(waiter.Reply(), "*-1\r\n");
  EXPECT_GE(NowMillis() - start, 1900);
  EXPECT_LE(NowMillis() - start, 2700);
}

TEST_F(LeaderChangeTest, BlockedAtACrash) {
  StartAll();
  EXPECT_TRUE(Direct(redis_b_, {"XADD", "s", "1-1", "f", "v"}).starts_with("$3"));
  RespClient popper(proxy_);
  RespClient reader(proxy_);
  popper.SendCommand({"BLPOP", "list", "30"});
  reader.SendCommand({"XREAD", "BLOCK", "30000", "STREAMS", "s", "1-1"});
  EXPECT_TRUE(popper.Quiet(100));
  Crash();
  EXPECT_EQ(popper.Reply(2000), "<closed>");
  Switch();
  EXPECT_TRUE(reader.Quiet(200));
  EXPECT_TRUE(Direct(redis_b_, {"XADD", "s", "1-2", "f", "v"}).starts_with("$3"));
  EXPECT_TRUE(reader.Reply(1000).starts_with("*1\r\n*2\r\n$1\r\ns\r\n"));
}

TEST_F(LeaderChangeTest, MonitorTrackingReplyAndHalfSentRequestAreClosed) {
  StartAll();
  RespClient monitor(proxy_);
  EXPECT_EQ(monitor.Command({"MONITOR"}), "+OK\r\n");
  RespClient tracking(proxy_);
  tracking.Command({"HELLO", "3"});
  EXPECT_EQ(tracking.Command({"CLIENT", "TRACKING", "ON"}), "+OK\r\n");
  RespClient off(proxy_);
  off.Send("CLIENT REPLY OFF\r\nSET x 1\r\n");
  RespClient half(proxy_);
  half.Send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n" + std::string(500000, 'x'));
  usleep(300000);
  Switch();
  EXPECT_TRUE(monitor.Closes(2000));
  EXPECT_TRUE(tracking.Closes(2000));
  EXPECT_TRUE(off.Closes(2000));
  EXPECT_TRUE(half.Closes(2000));
}

TEST_F(LeaderChangeTest, ConnectionStateIsReplayed) {
  const std::vector<std::string> acl = {"--user", "app", "on", ">secret", "~*", "&*", "+@all"};
  a_ = StartRedis(redis_a_, acl);
  b_ = StartRedis(redis_b_, acl);
  watch_ = std::make_unique<FakeWatch>(coordinator_);
  watch_->SetLeader(1, redis_a_);
  StartProxy();
  RespClient two(proxy_);
  EXPECT_EQ(two.Command({"AUTH", "app", "secret"}), "+OK\r\n");
  EXPECT_EQ(two.Command({"SELECT", "5"}), "+OK\r\n");
  EXPECT_EQ(two.Command({"CLIENT", "SETNAME", "named"}), "+OK\r\n");
  EXPECT_TRUE(two.Command({"AUTH", "app", "wrong"}).starts_with("-WRONGPASS"));
  EXPECT_TRUE(two.Command({"SELECT", "99"}).starts_with("-ERR"));
  RespClient three(proxy_);
  EXPECT_TRUE(three.Command({"HELLO", "3", "AUTH", "app", "secret", "SETNAME", "hello"}).starts_with("%"));
  RespClient deleted(proxy_);
  EXPECT_EQ(deleted.Command({"AUTH", "app", "secret"}), "+OK\r\n");
  Crash();
  Switch();
  EXPECT_EQ(two.Command({"SET", "k", "v"}), "+OK\r\n");
  EXPECT_EQ(two.Command({"CLIENT", "GETNAME"}), "$5\r\nnamed\r\n");
  EXPECT_EQ(two.Command({"ACL", "WHOAMI"}), "$3\r\napp\r\n");
  EXPECT_EQ(three.Command({"CLIENT", "GETNAME"}), "$5\r\nhello\r\n");
  EXPECT_EQ(three.Command({"HGETALL", "none"}), "%0\r\n");
  RespClient direct(redis_b_);
  direct.Command({"SELECT", "5"});
  EXPECT_EQ(direct.Command({"GET", "k"}), "$1\r\nv\r\n");
  EXPECT_EQ(Direct(redis_b_, {"ACL", "DELUSER", "app"}), ":1\r\n");
  EXPECT_EQ(deleted.Command({"SET", "stolen", "1"}), "<closed>");
  EXPECT_EQ(Direct(redis_b_, {"GET", "stolen"}), "$-1\r\n");
}

TEST_F(LeaderChangeTest, RedisWithAPassword) {
  a_ = StartRedis(redis_a_, {"--requirepass", "secret"});
  b_ = StartRedis(redis_b_, {"--requirepass", "secret"});
  watch_ = std::make_unique<FakeWatch>(coordinator_);
  watch_->SetLeader(1, redis_a_);
  const std::string file = folder_ + "/password";
  FILE* f = fopen(file.c_str(), "w");
  fputs("secret\n", f);
  fclose(f);
  const std::string secret = folder_ + "/peer-secret";  // the fake coordinator proves none
  f = fopen(secret.c_str(), "w");
  fputs("none\n", f);
  fclose(f);
  StartProxy({"--redis-password-file=" + file, "--peer-secret-file=" + secret});
  RespClient client(proxy_);
  EXPECT_TRUE(client.Command({"GET", "k"}).starts_with("-NOAUTH"));
  EXPECT_EQ(client.Command({"AUTH", "secret"}), "+OK\r\n");
  EXPECT_EQ(client.Command({"SET", "k", "v"}), "+OK\r\n");
  Switch();
  AwaitHeard();
  EXPECT_EQ(client.Command({"GET", "k"}), "$-1\r\n");
}

TEST_F(LeaderChangeTest, LostLeaseHoldsWritesAndWithholdsTheirReplies) {
  StartAll({"--hold-timeout=5s"});
  RespClient writer(proxy_);
  RespClient reader(proxy_);
  RespClient late(proxy_);
  EXPECT_EQ(writer.Command({"PING"}), "+PONG\r\n");
  EXPECT_EQ(reader.Command({"PING"}), "+PONG\r\n");
  Block(1500);
  writer.Send("SET k v\r\nPING\r\n");
  usleep(50000);
  watch_->SetEchoing(false);  // the lease of 700 ms runs out while redis is blocked
  EXPECT_TRUE(writer.Quiet(1800));
  EXPECT_EQ(Direct(redis_a_, {"GET", "k"}), "$1\r\nv\r\n");  // executed, but nobody is told
  EXPECT_EQ(reader.Command({"GET", "k"}), "$1\r\nv\r\n");    // reads go on
  late.Send("SET late 1\r\n");
  EXPECT_TRUE(late.Quiet(300));
  EXPECT_EQ(Direct(redis_a_, {"GET", "late"}), "$-1\r\n");
  watch_->SetEchoing(true);
  EXPECT_EQ(writer.Reply(1000), "+OK\r\n");
  EXPECT_EQ(writer.Reply(1000), "+PONG\r\n");
  EXPECT_EQ(late.Reply(1000), "+OK\r\n");
}

// The pod is cut off: nothing comes from the leader's redis, nor from its coordinator.
TEST_F(LeaderChangeTest, WithoutALeaseWhatIsInFlightIsClosedAtTheHoldTimeout) {
  StartAll({"--hold-timeout=1s"});
  RespClient writer(proxy_);
  RespClient reader(proxy_);
  RespClient blocked(proxy_);
  RespClient idle(proxy_);
  for (RespClient* client : {&writer, &reader, &blocked, &idle}) EXPECT_EQ(client->Command({"PING"}), "+PONG\r\n");
  blocked.Send("BLPOP q 0\r\n");
  usleep(50000);
  a_->Signal(SIGSTOP);
  writer.Send("SET k v\r\n");
  reader.Send("GET k\r\n");
  EXPECT_TRUE(writer.Quiet(1200));  // as long as the lease runs they wait, as before any redis
  watch_->SetEchoing(false);
  EXPECT_TRUE(writer.Quiet(1000));
  EXPECT_EQ(writer.Reply(3000), "<closed>");
  EXPECT_EQ(reader.Reply(1000), "<closed>");
  EXPECT_TRUE(blocked.Quiet(100));  // has time
  EXPECT_TRUE(idle.Quiet(1));
  a_->Signal(SIGCONT);
  watch_->SetEchoing(true);
  EXPECT_EQ(idle.Command({"RPUSH", "q", "x"}), ":1\r\n");
  EXPECT_EQ(blocked.Reply(), "*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
}

// The leader's pod is cut off: its redis executes, but nobody may be told.
TEST_F(LeaderChangeTest, WithoutALeaseAWithheldReplyIsClosedAtTheHoldTimeout) {
  StartAll({"--hold-timeout=1s"});
  RespClient writer(proxy_);
  EXPECT_EQ(writer.Command({"PING"}), "+PONG\r\n");
  Block(1500);
  writer.Send("SET k v\r\n");
  usleep(50000);
  watch_->SetEchoing(false);
  EXPECT_TRUE(writer.Quiet(1400));
  EXPECT_EQ(writer.Reply(3000), "<closed>");
  EXPECT_EQ(Direct(redis_a_, {"GET", "k"}), "$1\r\nv\r\n");
}

TEST_F(LeaderChangeTest, HoldKeepsAllCommandsWaitingAndFencedOnlyWrites) {
  StartAll();
  RespClient client(proxy_);
  RespClient reader(proxy_);
  for (const hive::v1::WriteState state : {hive::v1::WRITE_STATE_HOLD, hive::v1::WRITE_STATE_FENCED}) {
    const bool fenced = state == hive::v1::WRITE_STATE_FENCED;
    watch_->SetWriteState(state);
    AwaitHeard();
    reader.Send("GET k\r\n");
    EXPECT_EQ(reader.Reply(200), fenced ? "$-1\r\n" : "<nothing>");
    client.Send("DEL k\r\n");
    EXPECT_TRUE(client.Quiet(200));
    watch_->SetWriteState(hive::v1::WRITE_STATE_OPEN);
    EXPECT_EQ(client.Reply(1000), ":0\r\n");
    EXPECT_EQ(reader.Reply(fenced ? 0 : 1000), fenced ? "<nothing>" : "$-1\r\n");
  }
}

TEST_F(LeaderChangeTest, HoldEndsAtTheHoldTimeoutForReadsToo) {
  StartAll({"--hold-timeout=1s"});
  RespClient reader(proxy_);
  EXPECT_EQ(reader.Command({"GET", "k"}), "$-1\r\n");
  watch_->SetWriteState(hive::v1::WRITE_STATE_HOLD);
  AwaitHeard();
  reader.Send("GET k\r\n");
  EXPECT_TRUE(reader.Quiet(800));
  EXPECT_TRUE(reader.Reply(1000).starts_with("-MASTERDOWN"));
}

TEST_F(LeaderChangeTest, OtherMembersAreWatchedWhileTheOwnCoordinatorIsGone) {
  StartAll();
  FakeWatch other(other_coordinator_);
  other.SetLeader(1, redis_a_);
  watch_->SetCoordinators({coordinator_, other_coordinator_});
  AwaitHeard();
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "v"}), "+OK\r\n");
  watch_->SetMute(true);  // as one that is stopped: connections stay open
  usleep(1500000);
  EXPECT_EQ(client.Command({"SET", "k", "w"}), "+OK\r\n");
  watch_.reset();  // as one that is killed
  usleep(1000000);
  EXPECT_EQ(client.Command({"SET", "k", "x"}), "+OK\r\n");
  other.SetLeader(2, redis_b_, 2);
  const int64_t start = NowMillis();
  while (client.Command({"GET", "k"}) != "$-1\r\n" && NowMillis() - start < 5000) {
  }
  EXPECT_LT(NowMillis() - start, 500);
  watch_ = std::make_unique<FakeWatch>(coordinator_);
  watch_->SetLeader(2, redis_b_, 2);
  watch_->SetCoordinators({coordinator_, other_coordinator_});
  for (int i = 0; i < 200 && other.streams() > 0; ++i) usleep(10000);
  EXPECT_EQ(other.streams(), 0);
  EXPECT_EQ(client.Command({"SET", "k", "y"}), "+OK\r\n");
}

TEST_F(LeaderChangeTest, WithoutACoordinatorItWaitsAndServesAsSoonAsThereIsOne) {
  a_ = StartRedis(redis_a_);
  StartProxy();
  RespClient client(proxy_);
  client.Send("SET k v\r\n");
  EXPECT_TRUE(client.Quiet(300));
  watch_ = std::make_unique<FakeWatch>(coordinator_);
  watch_->SetLeader(1, redis_a_);
  EXPECT_EQ(client.Reply(3000), "+OK\r\n");
}

TEST_F(LeaderChangeTest, SigtermServesOnUntilClientsAreGone) {
  StartAll({"--drain-timeout=4s"});
  RespClient idle(proxy_);
  RespClient busy(proxy_);
  EXPECT_EQ(idle.Command({"PING"}), "+PONG\r\n");
  proxy_process_->Signal(SIGTERM);
  EXPECT_EQ(busy.Command({"SET", "k", "v"}), "+OK\r\n");
  EXPECT_TRUE(idle.Closes(4000));
  idle.Close();
  busy.Close();
  EXPECT_EQ(proxy_process_->Wait(5), 0);
}

TEST_F(LeaderChangeTest, PortInUseAndBadFlagsExit2) {
  StartAll();
  for (const std::string& flag :
       {std::string("--threads=1"), std::string("--no-such-flag=1"), std::string("--write-acks=101"),
        std::string("--write-acks=-1"), std::string("--write-acks-timeout=0s")}) {
    ChildProcess second({HIVE_PROXY_BINARY, "--listen=" + ToString(proxy_),
                         "--health-listen=" + ToString(other_coordinator_), "--metrics-listen=", flag},
                        folder_ + "/second.log");
    EXPECT_EQ(second.Wait(5), 2);
  }
}

}  // namespace
}  // namespace hive::proxy
