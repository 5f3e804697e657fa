// Goal: a command to another member's redis takes effect on the run that was meant, or the core learns why not, in
// time. Method: a real redis-server that is paused, stopped, restarted and made to refuse; a fake one where it must be
// old.
#include "coordinator/adapters/remote_redis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/unit/coordinator/adapters/fake_redis.h"
#include "tests/unit/coordinator/adapters/real_redis.h"
#include "tests/unit/coordinator/adapters/recorder.h"

namespace hive::coordinator {
namespace {

using namespace election;  // NOLINT: events and actions
using testing::HasSubstr;
using Kind = RedisCommand::Kind;
using Outcome = RemoteDone::Outcome;

class RemoteRedisTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!RealRedis::Installed()) GTEST_SKIP() << "no redis-server in PATH";
  }

  RemoteDone Do(const Endpoint& redis, RedisCommand command, const std::string& run_id = "",
                Duration timeout = Seconds(5)) {
    remote->Command({++last, redis, std::move(command), run_id, timeout});
    const auto done = recorder.Await<RemoteDone>();
    EXPECT_TRUE(done);
    EXPECT_EQ(done ? done->id : 0, last);
    return done.value_or(RemoteDone{});
  }
  std::string RunOf(const RealRedis& redis) {
    const RemoteDone done = Do(redis.endpoint(), {Kind::kRead, {}});
    EXPECT_EQ(done.outcome, Outcome::kDone) << done.error;
    return done.status.run_id;
  }

  std::string password;
  Recorder recorder;
  std::unique_ptr<RemoteRedis> remote = std::make_unique<RemoteRedis>(
      [this] {
        return RedisCredentials{"", password};
      },
      recorder.inbox);
  CallId last = 100;
};

TEST_F(RemoteRedisTest, TheCommandsOfASwitch) {
  const RealRedis redis;
  const std::string run = RunOf(redis);
  EXPECT_EQ(run.size(), 40u);

  const RemoteDone paused = Do(redis.endpoint(), {Kind::kPause, {}, Seconds(20)}, run);
  EXPECT_EQ(paused.outcome, Outcome::kDone) << paused.error;
  EXPECT_TRUE(paused.status.is_master);
  RedisConnection writer(-1);
  ASSERT_EQ(writer.Connect(redis.endpoint(), Seconds(5)), TcpOutcome::kConnected);
  EXPECT_TRUE(writer.Execute({"GET", "k"}, Seconds(5)));         // reads go on
  EXPECT_FALSE(writer.Execute({"SET", "k", "1"}, Millis(100)));  // writes wait
  EXPECT_EQ(Do(redis.endpoint(), {Kind::kUnpause, {}}, run).outcome, Outcome::kDone);
  EXPECT_EQ(redis.Ask({"SET", "k", "2"}).text, "OK");

  const RemoteDone parked = Do(redis.endpoint(), {Kind::kPark, {}}, run);
  EXPECT_TRUE(parked.status.parked());
  const RemoteDone replica = Do(redis.endpoint(), {Kind::kReplicate, {"127.0.0.1", 2}}, run);
  EXPECT_EQ(replica.status.master, (Endpoint{"127.0.0.1", 2}));
  EXPECT_EQ(Do(redis.endpoint(), {Kind::kServeStale, {}}, run).outcome, Outcome::kDone);
  const RemoteDone promoted = Do(redis.endpoint(), {Kind::kPromote, {}}, run);
  EXPECT_EQ(promoted.outcome, Outcome::kDone) << promoted.error;
  EXPECT_TRUE(promoted.status.is_master);
  EXPECT_EQ(promoted.status.keys, 1);
}

// What a command of a switch costs, once connected: a round trip, not a connection.
TEST_F(RemoteRedisTest, OneConnectionForAllOfThem) {
  const RealRedis redis;
  const std::string run = RunOf(redis);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(Do(redis.endpoint(), {Kind::kRead, {}}, run).outcome, Outcome::kDone);
  const std::string clients = redis.Ask({"INFO", "stats"}).text;
  const size_t at = clients.find("total_connections_received:");
  ASSERT_NE(at, std::string::npos);
  EXPECT_LE(std::stoi(clients.substr(at + 27)), 3);  // the fixture's, that one, and this one
}

TEST_F(RemoteRedisTest, AFenceRefusesWritesUntilItIsTakenAwayOrTheRedisPromoted) {
  const RealRedis redis;
  const std::string run = RunOf(redis);
  EXPECT_TRUE(Do(redis.endpoint(), {Kind::kFence, {}}, run).status.fenced);
  EXPECT_TRUE(redis.Ask({"SET", "k", "1"}).IsError("NOREPLICAS"));
  EXPECT_FALSE(Do(redis.endpoint(), {Kind::kUnfence, {}}, run).status.fenced);
  EXPECT_EQ(redis.Ask({"SET", "k", "1"}).text, "OK");

  Do(redis.endpoint(), {Kind::kPark, {}}, run);
  EXPECT_TRUE(Do(redis.endpoint(), {Kind::kFence, {}}, run).status.fenced);
  EXPECT_FALSE(Do(redis.endpoint(), {Kind::kPromote, {}}, run).status.fenced);
  EXPECT_EQ(redis.Ask({"SET", "k", "1"}).text, "OK");
}

// With min-replicas-max-lag 0 redis takes min-replicas-to-write and does not act on it.
TEST_F(RemoteRedisTest, AFenceHoldsWhereFollowersAreNotCounted) {
  const RealRedis redis({"--min-replicas-max-lag", "0"});
  EXPECT_TRUE(Do(redis.endpoint(), {Kind::kFence, {}}).status.fenced);
  EXPECT_TRUE(redis.Ask({"SET", "k", "1"}).IsError("NOREPLICAS"));
}

// A stopped redis must not find commands when it wakes.
TEST_F(RemoteRedisTest, StoppedBeforeTheCommand) {
  RealRedis redis;
  const std::string run = RunOf(redis);
  ::usleep(2 * 1000 * static_cast<useconds_t>(ToMillis(RemoteRedis::kFresh)));  // what it said last proves nothing now
  redis.Signal(SIGSTOP);
  const Instant begun = ReadMonotonicClock();
  const RemoteDone done = Do(redis.endpoint(), {Kind::kPark, {}}, run, Millis(200));
  EXPECT_EQ(done.outcome, Outcome::kUnreachable) << done.error;
  EXPECT_LT(ReadMonotonicClock() - begun, Millis(400));
  redis.Signal(SIGCONT);
  EXPECT_TRUE(Do(redis.endpoint(), {Kind::kRead, {}}, run).status.is_master);
}

TEST_F(RemoteRedisTest, StoppedBeforeTheConnection) {
  RealRedis redis;
  redis.Signal(SIGSTOP);
  EXPECT_EQ(Do(redis.endpoint(), {Kind::kPark, {}}, "", Millis(200)).outcome, Outcome::kUnreachable);
  redis.Signal(SIGCONT);
  EXPECT_TRUE(Do(redis.endpoint(), {Kind::kRead, {}}).status.is_master);
}

// It answered a moment ago, and the command is on its way: nobody knows.
TEST_F(RemoteRedisTest, StoppedWithTheCommandUnderWay) {
  RealRedis redis;
  const std::string run = RunOf(redis);
  RemoteDone done;
  do {  // until the machine was fast enough for "a moment ago"
    redis.Signal(SIGCONT);
    Do(redis.endpoint(), {Kind::kRead, {}}, run);
    redis.Signal(SIGSTOP);
    done = Do(redis.endpoint(), {Kind::kPark, {}}, run, Millis(200));
  } while (done.outcome == Outcome::kUnreachable);
  EXPECT_EQ(done.outcome, Outcome::kUnknown) << done.error;
  redis.Signal(SIGCONT);
}

TEST_F(RemoteRedisTest, AnotherRun) {
  RealRedis redis;
  const std::string run = RunOf(redis);
  redis.Restart();
  const RemoteDone done = Do(redis.endpoint(), {Kind::kReplicate, {"127.0.0.1", 2}}, run);
  EXPECT_EQ(done.outcome, Outcome::kAnotherRun) << done.error;
  EXPECT_TRUE(Do(redis.endpoint(), {Kind::kRead, {}}).status.is_master);
}

TEST_F(RemoteRedisTest, NobodyListens) {
  RealRedis redis;
  RunOf(redis);
  redis.Kill();
  const RemoteDone done = Do(redis.endpoint(), {Kind::kPark, {}});
  EXPECT_EQ(done.outcome, Outcome::kUnreachable);
  EXPECT_EQ(done.error, "connection refused");
}

TEST_F(RemoteRedisTest, WhatRedisRefusesIsSaidInItsWords) {
  const RealRedis renamed({"--rename-command", "CLIENT", ""});
  RemoteDone done = Do(renamed.endpoint(), {Kind::kPause, {}, Millis(500)});
  EXPECT_EQ(done.outcome, Outcome::kRefused);
  EXPECT_THAT(done.error, HasSubstr("CLIENT PAUSE 500 WRITE: ERR unknown command"));

  const RealRedis guarded({"--user", "default", "on", "nopass", "~*", "+@all", "-config", "-replicaof"});
  done = Do(guarded.endpoint(), {Kind::kFence, {}});
  EXPECT_EQ(done.outcome, Outcome::kRefused);
  EXPECT_THAT(done.error, HasSubstr("CONFIG SET min-replicas-to-write 99: NOPERM"));
  EXPECT_EQ(Do(guarded.endpoint(), {Kind::kPark, {}}).outcome, Outcome::kRefused);
}

// A fence that cannot be taken away does not stop a promotion, but it is told; one that was never there is not.
TEST_F(RemoteRedisTest, APromotionWithoutConfig) {
  const RealRedis fenced({"--rename-command", "CONFIG", "", "--min-replicas-to-write", "9"});
  const RemoteDone told = Do(fenced.endpoint(), {Kind::kPromote, {}});
  EXPECT_EQ(told.outcome, Outcome::kDone);
  EXPECT_THAT(told.error, HasSubstr("CONFIG SET min-replicas-to-write 0: ERR unknown command"));
  EXPECT_TRUE(told.status.fenced);

  const RealRedis free({"--rename-command", "CONFIG", ""});
  const RemoteDone done = Do(free.endpoint(), {Kind::kPromote, {}});
  EXPECT_EQ(done.outcome, Outcome::kDone);
  EXPECT_EQ(done.error, "");
}

TEST_F(RemoteRedisTest, PasswordsRightAndWrong) {
  const RealRedis redis({"--requirepass", "secret"});
  RemoteDone done = Do(redis.endpoint(), {Kind::kPark, {}});
  EXPECT_EQ(done.outcome, Outcome::kRefused);
  EXPECT_THAT(done.error, HasSubstr("NOAUTH"));
  password = "wrong";
  done = Do(redis.endpoint(), {Kind::kPark, {}});
  EXPECT_EQ(done.outcome, Outcome::kRefused);
  EXPECT_THAT(done.error, HasSubstr("AUTH: WRONGPASS"));
  password = "secret";
  EXPECT_TRUE(Do(redis.endpoint(), {Kind::kPark, {}}).status.parked());
}

// One that says nothing delays nobody else's, and what waits behind it is answered in its own time.
TEST_F(RemoteRedisTest, MuteOnesDelayNobody) {
  RealRedis mute;
  const RealRedis other;
  mute.Signal(SIGSTOP);
  remote->Command({1, mute.endpoint(), {Kind::kRead, {}}, "", Millis(1000)});
  remote->Command({2, mute.endpoint(), {Kind::kRead, {}}, "", Millis(1000)});
  remote->Command({3, other.endpoint(), {Kind::kRead, {}}, "", Seconds(5)});
  std::vector<CallId> order;
  for (int i = 0; i < 3; ++i) order.push_back(recorder.Await<RemoteDone>().value_or(RemoteDone{}).id);
  EXPECT_EQ(order, (std::vector<CallId>{3, 1, 2}));
  mute.Signal(SIGCONT);
}

// The end does not wait for a redis that says nothing.
TEST_F(RemoteRedisTest, EndsAtOnce) {
  RealRedis mute;
  mute.Signal(SIGSTOP);
  remote->Command({1, mute.endpoint(), {Kind::kRead, {}}, "", Seconds(60)});
  remote.reset();
  mute.Signal(SIGCONT);
}

TEST_F(RemoteRedisTest, BeyondTheLimitsItFailsAtOnce) {
  FakeRedis silent([](const std::string&) { return std::nullopt; });
  const Endpoint at{"127.0.0.1", silent.port()};
  for (size_t i = 0; i < 2 * RemoteRedis::kMaxWaiting + 2; ++i) {
    remote->Command({i, at, {Kind::kRead, {}}, "", Seconds(60)});
  }
  const auto done = recorder.Await<RemoteDone>();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->outcome, Outcome::kUnreachable);
  EXPECT_EQ(done->error, "too many commands wait");
}

// Before 6.2 there is no pause of writes alone: a fence stands for it.
TEST_F(RemoteRedisTest, AnOldRedisIsFencedInsteadOfPaused) {
  std::string heard;
  FakeRedis old([&heard](const std::string& command) -> std::optional<std::string> {
    if (command == "INFO") {
      return FakeRedis::Info("run1", "role:master\r\nmaster_repl_offset:5\r\nmin_slaves_good_slaves:0\r\n", "6.0.16");
    }
    heard += command + "; ";
    return "+OK\r\n";
  });
  const Endpoint at{"127.0.0.1", old.port()};
  EXPECT_EQ(Do(at, {Kind::kPause, {}, Seconds(1)}, "run1").outcome, Outcome::kDone);
  EXPECT_EQ(Do(at, {Kind::kUnpause, {}}, "run1").outcome, Outcome::kDone);
  old.Stop();
  EXPECT_EQ(heard, "CONFIG SET min-replicas-to-write 99; CONFIG SET min-replicas-to-write 0; ");
}

}  // namespace
}  // namespace hive::coordinator
