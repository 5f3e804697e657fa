// Goal: what happens to the local redis becomes the right event, once; commands are carried out in order and verified.
// Method: an agent against a fake redis on loopback that the test scripts, kills and restarts.
#include "coordinator/adapters/redis_agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <mutex>

#include "common/net/socket.h"
#include "coordinator/adapters/redis_connection.h"
#include "tests/unit/common/app/certificates.h"
#include "tests/unit/coordinator/adapters/fake_redis.h"
#include "tests/unit/coordinator/adapters/recorder.h"

namespace hive::coordinator {
namespace {

using namespace election;  // NOLINT: events and actions
using testing::Contains;
using testing::HasSubstr;
using Kind = RedisCommand::Kind;

constexpr const char* kMaster = "role:master\r\nmaster_repl_offset:5\r\ndb0:keys=1\r\n";
constexpr const char* kOk = "+OK\r\n";

// What the fake redis answers, by the beginning of the command; and what it was told.
class Lines {
 public:
  void Set(const std::string& command, std::optional<std::string> answer) {
    const std::lock_guard lock(mutex_);
    answers_[command] = std::move(answer);
  }
  std::optional<std::string> Answer(const std::string& command) {
    const std::lock_guard lock(mutex_);
    if (!command.starts_with("INFO")) heard_.push_back(command);
    for (const auto& [beginning, answer] : answers_) {
      if (command.starts_with(beginning)) return answer;
    }
    return "-ERR unknown command\r\n";
  }
  std::vector<std::string> heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::optional<std::string>> answers_;
  std::vector<std::string> heard_;
};

class RedisAgentTest : public testing::Test {
 protected:
  RedisAgentTest() { lines.Set("INFO", FakeRedis::Info("run1", kMaster)); }

  void StartAgent() {
    agent = std::make_unique<RedisAgent>(
        RedisAgentOptions{.host = "127.0.0.1",
                          .port = redis.port(),
                          .user = user,
                          .password = [this]() -> absl::StatusOr<std::string> { return password; },
                          .beat_interval = Millis(10),
                          .redis_timeout = Millis(200),
                          .on_fatal = [this](std::string reason) { fatal.set_value(std::move(reason)); }},
        recorder.inbox);
  }

  RedisDone Do(RedisCommand command) {
    agent->Command({7, std::move(command)});
    const auto done = recorder.Await<RedisDone>();
    EXPECT_TRUE(done);
    return done.value_or(RedisDone{});
  }

  Lines lines;
  FakeRedis redis{[this](const std::string& command) { return lines.Answer(command); }};
  std::string user;
  std::string password;
  std::promise<std::string> fatal;
  Recorder recorder;
  std::unique_ptr<RedisAgent> agent;
};

TEST_F(RedisAgentTest, ReportsWhatInfoSays) {
  StartAgent();
  for (int i = 0; i < 3; ++i) {
    const auto reported = recorder.Await<RedisReported>();
    ASSERT_TRUE(reported);
    EXPECT_EQ(reported->status.run_id, "run1");
    EXPECT_TRUE(reported->status.is_master);
    EXPECT_EQ(reported->status.offset, 5);
    EXPECT_EQ(reported->status.keys, 1);
  }
}

TEST_F(RedisAgentTest, CarriesOutCommandsAndReadsTheOutcome) {
  lines.Set("REPLICAOF", kOk);
  lines.Set("CONFIG SET", kOk);
  lines.Set("CLIENT", kOk);
  lines.Set("ROLE", "*3\r\n$6\r\nmaster\r\n:5\r\n*0\r\n");
  StartAgent();
  for (const RedisCommand& command :
       {RedisCommand{Kind::kRead, {}}, RedisCommand{Kind::kPark, {}}, RedisCommand{Kind::kPromote, {}},
        RedisCommand{Kind::kReplicate, {"10.0.0.1", 6379}}, RedisCommand{Kind::kServeStale, {}},
        RedisCommand{Kind::kPause, {}, Millis(500)}, RedisCommand{Kind::kUnpause, {}},
        RedisCommand{Kind::kUnfence, {}}}) {
    const RedisDone done = Do(command);
    EXPECT_TRUE(done.ok) << done.error;
    EXPECT_EQ(done.id, 7u);
    EXPECT_EQ(done.status.run_id, "run1");
  }
  EXPECT_THAT(lines.heard(),
              testing::ElementsAre("REPLICAOF 127.0.0.1 1", "CONFIG SET min-replicas-to-write 0", "REPLICAOF NO ONE",
                                   "ROLE", "REPLICAOF 10.0.0.1 6379", "CONFIG SET replica-serve-stale-data yes",
                                   "CLIENT PAUSE 500 WRITE", "CLIENT UNPAUSE", "CONFIG SET min-replicas-to-write 0"));
}

TEST_F(RedisAgentTest, PromotionIsVerified) {
  lines.Set("REPLICAOF", kOk);
  lines.Set("ROLE", "*2\r\n$5\r\nslave\r\n:5\r\n");
  StartAgent();
  const RedisDone done = Do({Kind::kPromote, {}});
  EXPECT_FALSE(done.ok);
  EXPECT_THAT(done.error, HasSubstr("no master"));
}

// A fence that is still up after a promotion: the promotion counts, and the error is told beside it.
TEST_F(RedisAgentTest, PromotionGoesOnWhereTheFenceStays) {
  lines.Set("INFO", FakeRedis::Info("run1", std::string(kMaster) + "min_slaves_good_slaves:0\r\n"));
  lines.Set("CONFIG SET", "-ERR unknown command 'CONFIG'\r\n");
  lines.Set("REPLICAOF", kOk);
  lines.Set("ROLE", "*3\r\n$6\r\nmaster\r\n:5\r\n*0\r\n");
  StartAgent();
  const RedisDone done = Do({Kind::kPromote, {}});
  EXPECT_TRUE(done.ok);
  EXPECT_TRUE(done.status.fenced);
  EXPECT_EQ(done.error, "CONFIG SET min-replicas-to-write 0: ERR unknown command 'CONFIG'");
}

TEST_F(RedisAgentTest, FenceIsSeenInWhatRedisSays) {
  lines.Set("CONFIG SET min-replicas-to-write", kOk);
  lines.Set("CONFIG SET min-replicas-max-lag", kOk);
  StartAgent();
  ASSERT_TRUE(recorder.Await<RedisReported>());
  EXPECT_TRUE(Do({Kind::kFence, {}}).ok);
  EXPECT_THAT(lines.heard(),  // this redis never says that it is fenced
              testing::ElementsAre("CONFIG SET min-replicas-to-write 99", "CONFIG SET min-replicas-max-lag 10"));
}

TEST_F(RedisAgentTest, ErrorsNameTheCommand) {
  lines.Set("REPLICAOF", "-NOPERM this user has no permissions\r\n");
  StartAgent();
  EXPECT_EQ(Do({Kind::kPark, {}}).error, "REPLICAOF 127.0.0.1 1: NOPERM this user has no permissions");
}

TEST_F(RedisAgentTest, KilledThenBackAsAnotherRun) {
  StartAgent();
  ASSERT_TRUE(recorder.Await<RedisReported>());
  redis.Stop();
  const auto lost = recorder.Await<RedisLost>();
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->detail, "connection refused");
  const RedisDone done = Do({Kind::kPark, {}});  // nothing waits for a redis that is gone
  EXPECT_FALSE(done.ok);

  lines.Set("INFO", FakeRedis::Info("run2", kMaster));
  redis.Restart();
  std::string run;
  while (run != "run2") {
    const auto reported = recorder.Await<RedisReported>();
    ASSERT_TRUE(reported);
    run = reported->status.run_id;
  }
  EXPECT_EQ(recorder.Count<RedisLost>(), 0u);  // told once
}

TEST_F(RedisAgentTest, NeverThere) {
  redis.Stop();
  StartAgent();
  EXPECT_TRUE(recorder.Await<RedisLost>());
  redis.Restart();
  EXPECT_TRUE(recorder.Await<RedisReported>());
}

TEST_F(RedisAgentTest, MuteThenAwakeAgain) {
  StartAgent();
  ASSERT_TRUE(recorder.Await<RedisReported>());
  lines.Set("INFO", std::nullopt);
  ASSERT_TRUE(recorder.Await<RedisMute>());
  while (recorder.Count<RedisReported>() > 0) recorder.Await<RedisReported>();
  lines.Set("INFO", FakeRedis::Info("run1", kMaster));
  EXPECT_TRUE(recorder.Await<RedisReported>());
  EXPECT_EQ(recorder.Count<RedisMute>(), 0u);
  EXPECT_EQ(recorder.Count<RedisLost>(), 0u);
}

// As a redis without TLS, which waits for the end of a line.
TEST(RedisConnectionTest, WhoDoesNotAnswerAHandshakeMaySpeakNoTls) {
  const Authority authority("hive");
  const CertificateFolder folder;
  const auto source =
      TlsSource::Open({.files = {.certificate = "", .key = "", .authority = folder.Put("ca.crt", authority.pem())},
                       .flag_prefix = "redis-tls",
                       .side = TlsContext::Side::kClient,
                       .peer = TlsContext::PeerCertificate::kRequired});
  ASSERT_TRUE(source.ok()) << source.status();
  const Fd silent = *ListenTcp({"127.0.0.1", 0});
  RedisConnection connection(-1, source->get());
  ASSERT_EQ(connection.Connect(LocalEndpoint(silent), Seconds(1)), TcpOutcome::kConnected);
  EXPECT_FALSE(connection.Execute({"PING"}, Millis(50)));
  EXPECT_EQ(connection.failure(), RedisConnection::Failure::kTimeout);
  EXPECT_THAT(connection.tls_failure(), HasSubstr("does it speak TLS on this port?"));
}

TEST_F(RedisAgentTest, BusyIsAnAnswer) {
  StartAgent();
  ASSERT_TRUE(recorder.Await<RedisReported>());
  lines.Set("INFO", "-BUSY Redis is busy running a script.\r\n");
  for (;;) {
    const auto reported = recorder.Await<RedisReported>();
    ASSERT_TRUE(reported);
    if (!reported->status.busy) continue;
    EXPECT_EQ(reported->status.run_id, "run1");
    break;
  }
  EXPECT_EQ(recorder.Count<RedisLost>(), 0u);
}

TEST_F(RedisAgentTest, PasswordIsUsedAndPassedOn) {
  user = "hive";
  password = "secret";
  lines.Set("AUTH hive secret", kOk);
  lines.Set("CONFIG SET", kOk);
  StartAgent();
  ASSERT_TRUE(recorder.Await<RedisReported>());
  EXPECT_THAT(lines.heard(),
              testing::ElementsAre("AUTH hive secret", "CONFIG SET masterauth secret", "CONFIG SET masteruser hive"));
}

TEST_F(RedisAgentTest, RefusedMasterauthIsToldUntilItIsTaken) {
  password = "secret";
  lines.Set("AUTH secret", kOk);
  lines.Set("CONFIG SET", "-ERR unknown command 'CONFIG', with args beginning with: 'SET' 'masterauth' 'secret' \r\n");
  StartAgent();
  const auto refused = recorder.Await<election::RedisRefuses>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->command, "CONFIG SET masterauth");
  EXPECT_EQ(refused->error, "ERR unknown command 'CONFIG'");  // without the password
  lines.Set("CONFIG SET", kOk);
  const auto taken = recorder.Await<election::RedisRefuses>();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->command, "CONFIG SET masterauth");
  EXPECT_EQ(taken->error, "");
}

TEST_F(RedisAgentTest, PasswordThatRedisDoesNotWant) {
  password = "secret";
  lines.Set("AUTH", "-ERR AUTH <password> called without any password configured for the default user.\r\n");
  StartAgent();
  ASSERT_TRUE(recorder.Await<RedisReported>());
  EXPECT_THAT(lines.heard(), testing::ElementsAre("AUTH secret"));
}

TEST_F(RedisAgentTest, MissingPasswordSaysWhatToDo) {
  lines.Set("INFO", "-NOAUTH Authentication required.\r\n");
  StartAgent();
  const auto lost = recorder.Await<RedisLost>();
  ASSERT_TRUE(lost);
  EXPECT_THAT(lost->detail, HasSubstr("set --redis-password-file or HIVE_REDIS_PASSWORD"));
}

// People are told what is wrong now: not that nobody listened when the pod began.
TEST_F(RedisAgentTest, AnotherReasonIsToldAgain) {
  redis.Stop();
  lines.Set("INFO", "-NOAUTH Authentication required.\r\n");
  StartAgent();
  EXPECT_EQ(recorder.Await<RedisLost>()->detail, "connection refused");
  redis.Restart();
  const auto lost = recorder.Await<RedisLost>();
  ASSERT_TRUE(lost);
  EXPECT_THAT(lost->detail, HasSubstr("NOAUTH"));
  EXPECT_EQ(recorder.Count<RedisLost>(), 0u);
}

TEST_F(RedisAgentTest, WrongPasswordIsTriedAgain) {
  password = "wrong";
  lines.Set("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  StartAgent();
  const auto lost = recorder.Await<RedisLost>();
  ASSERT_TRUE(lost);
  EXPECT_THAT(lost->detail, HasSubstr("WRONGPASS"));
  lines.Set("AUTH wrong", kOk);  // redis's was corrected
  EXPECT_TRUE(recorder.Await<RedisReported>());
}

TEST_F(RedisAgentTest, TooOldIsFatal) {
  lines.Set("INFO", FakeRedis::Info("run1", kMaster, "4.0.14"));
  StartAgent();
  auto reason = fatal.get_future();
  ASSERT_EQ(reason.wait_for(Recorder::kPatience), std::future_status::ready);
  EXPECT_THAT(reason.get(), HasSubstr("is version 4.0.14: a hive needs 5.0 or newer"));
}

TEST_F(RedisAgentTest, ProbeTellsDataFromNone) {
  StartAgent();
  const auto probe = [&](const std::string& info) {
    lines.Set("INFO", info);
    agent->Probe({3, {"127.0.0.1", redis.port()}});
    const auto probed = recorder.Await<RedisProbed>();
    EXPECT_TRUE(probed);
    return probed ? probed->outcome : RedisProbed::Outcome::kSilent;
  };
  EXPECT_EQ(probe(FakeRedis::Info("x", "role:slave\r\nmaster_repl_offset:0\r\nslave_repl_offset:1\r\n")),
            RedisProbed::Outcome::kEmpty);
  EXPECT_EQ(probe(FakeRedis::Info("x", "role:master\r\nmaster_repl_offset:0\r\ndb0:keys=1\r\n")),
            RedisProbed::Outcome::kHasData);
  EXPECT_EQ(probe(FakeRedis::Info("x", "role:slave\r\nmaster_repl_offset:70\r\n")), RedisProbed::Outcome::kHasData);
  EXPECT_EQ(probe("-NOAUTH Authentication required.\r\n"), RedisProbed::Outcome::kSilent);
  redis.Stop();
  EXPECT_EQ(probe(""), RedisProbed::Outcome::kRefused);
}

// Only a coordinator that refuses permits touching its redis.
TEST_F(RedisAgentTest, OrphanIsDemotedOnlyWithoutItsCoordinator) {
  lines.Set("ROLE", "*3\r\n$6\r\nmaster\r\n:5\r\n*0\r\n");
  lines.Set("REPLICAOF", kOk);
  StartAgent();
  auto coordinator = ListenTcp({"127.0.0.1", 0});
  ASSERT_TRUE(coordinator.ok());
  const DemoteOrphan demote{
      3, {"127.0.0.1", redis.port()}, {"127.0.0.1", LocalEndpoint(*coordinator).port}, {"10.0.0.1", 6379}};
  agent->Demote(demote);
  auto answered = recorder.Await<OrphanAnswered>();
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->outcome, OrphanAnswered::Outcome::kCoordinatorAnswers);
  EXPECT_THAT(lines.heard(), testing::Not(Contains(HasSubstr("REPLICAOF"))));

  coordinator->Close();
  agent->Demote(demote);
  answered = recorder.Await<OrphanAnswered>();
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->outcome, OrphanAnswered::Outcome::kRefused);  // ROLE still says master
  EXPECT_THAT(lines.heard(), Contains("REPLICAOF 10.0.0.1 6379"));

  lines.Set("ROLE", "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.1\r\n:6379\r\n$7\r\nconnect\r\n:5\r\n");
  agent->Demote(demote);
  answered = recorder.Await<OrphanAnswered>();
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->outcome, OrphanAnswered::Outcome::kObeyed);

  redis.Stop();
  agent->Demote(demote);
  answered = recorder.Await<OrphanAnswered>();
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->outcome, OrphanAnswered::Outcome::kUnreachable);
}

// The end does not wait for a redis that says nothing.
TEST_F(RedisAgentTest, EndsAtOnce) {
  lines.Set("INFO", std::nullopt);
  StartAgent();
  agent.reset();
}

}  // namespace
}  // namespace hive::coordinator
