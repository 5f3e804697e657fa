// Goal: a member whose secret or CA is not the others' neither begins a dataset nor leads, for however long; and a
// stranger in DNS does not keep a member that has been in step with its hive from leading.
// Method: a single core; a redis that obeys; members that answer, reject or are silent, as each test says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "coordinator/election/core.h"

namespace hive::election {
namespace {

using testing::HasSubstr;

const Endpoint kSelf{"10.0.0.1", 7400};
const Endpoint kOther{"10.0.0.2", 7400};
const Endpoint kThird{"10.0.0.3", 7400};

Config MakeConfig() {
  Config config;
  config.hive = "hive";
  config.self = {kSelf.ip, 11};
  config.coordinator = kSelf;
  config.redis = {kSelf.ip, 6379};
  return config;
}

enum class Manner : uint8_t { kRejects, kSilent, kGone, kEmpty };

class Member {
 public:
  explicit Member(int64_t keys) {
    redis_.run_id = "run";
    redis_.replication_id = "A";
    redis_.keys = keys;
    redis_.master = replication::kNobody;
    redis_.is_master = keys > 0;
  }

  void Run(Duration span, const std::map<Endpoint, Manner>& others) {
    std::vector<Endpoint> listed{kSelf};
    for (const auto& [endpoint, manner] : others) listed.push_back(endpoint);
    Take(core_.Step(now_, 0, PeersListed{listed}), others);
    Take(core_.Step(now_, 0, RedisReported{redis_}), others);
    for (const Instant end = now_ + span; now_ < end;) {
      now_ += Millis(25);
      Take(core_.Step(now_, 0, Tick{}), others);
      led_ |= core_.state(now_).role == Role::kLeading;
    }
  }

  State state() const { return core_.state(now_); }
  bool led() const { return led_; }
  int said(const std::string& words) const {
    return static_cast<int>(std::count_if(notes_.begin(), notes_.end(),
                                          [&](const auto& note) { return note.find(words) != std::string::npos; }));
  }

 private:
  void Take(const Actions& actions, const std::map<Endpoint, Manner>& others) {
    for (const Action& action : actions) {
      if (const auto* note = std::get_if<Note>(&action)) notes_.push_back(note->text);
      if (const auto* command = std::get_if<CommandRedis>(&action)) Take(core_.Step(now_, 0, Obey(*command)), others);
      if (const auto* probe = std::get_if<ProbeRedis>(&action)) {
        Take(core_.Step(now_, 0, RedisProbed{probe->id, RedisProbed::Outcome::kRefused}), others);
      }
      if (const auto* sent = std::get_if<SendRequest>(&action)) Answer(*sent, others);
      if (const auto* dial = std::get_if<Dial>(&action)) {
        const Manner manner = others.at(dial->to);
        const auto outcome = manner == Manner::kRejects ? Dialled::Outcome::kRejected
                             : manner == Manner::kGone  ? Dialled::Outcome::kRefused
                                                        : Dialled::Outcome::kNoConnect;
        Take(core_.Step(now_, 0, Dialled{dial->id, outcome, {}}), others);
      }
    }
  }

  void Answer(const SendRequest& sent, const std::map<Endpoint, Manner>& others) {
    switch (others.at(sent.to)) {
      case Manner::kRejects:
        return Take(core_.Step(now_, 0, CallFailed{sent.id, Failure::kRejected}), others);
      case Manner::kSilent:
        return Take(core_.Step(now_, 0, CallFailed{sent.id, Failure::kTimeout}), others);
      case Manner::kGone:
        return Take(core_.Step(now_, 0, CallFailed{sent.id, Failure::kRefused}), others);
      case Manner::kEmpty:
        break;
    }
    MemberReport report;
    report.standing.available = true;
    const Header header{"hive", {sent.to.ip, 22}, sent.to, 0};
    if (std::holds_alternative<GreetRequest>(sent.request)) {
      Take(core_.Step(now_, 0, ReplyReceived{sent.id, GreetReply{header, report}}), others);
    } else if (std::holds_alternative<CampaignRequest>(sent.request)) {
      CampaignReply reply;
      reply.header = header;
      reply.standing = report.standing;
      Take(core_.Step(now_, 0, ReplyReceived{sent.id, reply}), others);
    } else if (std::holds_alternative<PrepareRequest>(sent.request)) {
      Take(core_.Step(now_, 0,
                      ReplyReceived{sent.id, PrepareReply{header, PrepareVerdict::kPrepared, report.standing, {}}}),
           others);
    }
  }

  RedisDone Obey(const CommandRedis& command) {
    if (command.command.kind == RedisCommand::Kind::kPark) redis_.is_master = false;
    if (command.command.kind == RedisCommand::Kind::kPromote) {
      redis_.is_master = true;
      redis_.second_replication_id = redis_.replication_id;
      redis_.replication_id += "+";
    }
    return {command.id, true, "", redis_};
  }

  Core core_{MakeConfig()};
  RedisStatus redis_;
  Instant now_{};
  std::vector<std::string> notes_;
  bool led_ = false;
};

TEST(Rejected, AnEmptyMemberNeverBegins) {
  Member member(0);
  member.Run(Seconds(600), {{kOther, Manner::kRejects}});
  EXPECT_FALSE(member.led());
  EXPECT_FALSE(member.state().view.in_sync);
  EXPECT_THAT(member.state().waiting_for, HasSubstr("10.0.0.2:7400"));
  EXPECT_THAT(member.state().waiting_for, HasSubstr("--peer-secret-file"));
  EXPECT_THAT(member.state().waiting_for, HasSubstr("--tls-ca"));
  EXPECT_TRUE(member.state().members[1].rejects);
  EXPECT_EQ(member.said("it is this member's that is wrong"), 21) << "a line at once, and one for each 30 s";
}

TEST(Rejected, NorDoTwoOfThemTogether) {
  Member member(0);
  member.Run(Seconds(600), {{kOther, Manner::kRejects}, {kThird, Manner::kEmpty}});
  EXPECT_FALSE(member.led());
}

TEST(Rejected, PatienceWithOneThatRejectedAndFellSilentCountsFromThen) {
  Member member(0);
  member.Run(Seconds(100), {{kOther, Manner::kRejects}});
  member.Run(Seconds(55), {{kOther, Manner::kSilent}});
  EXPECT_FALSE(member.led());
  member.Run(Seconds(30), {{kOther, Manner::kSilent}});
  EXPECT_TRUE(member.led());
}

TEST(Rejected, OneThatIsGoneHoldsNobodyUp) {
  Member member(0);
  member.Run(Seconds(10), {{kOther, Manner::kRejects}});
  member.Run(Seconds(4), {{kOther, Manner::kGone}});
  EXPECT_TRUE(member.led());
}

// Its coordinator was restarted with another secret: its redis has the hive's data, as the others' have.
TEST(Rejected, AMemberWithDataDoesNotLeadEither) {
  Member member(3);
  member.Run(Seconds(600), {{kOther, Manner::kRejects}, {kThird, Manner::kRejects}});
  EXPECT_FALSE(member.led());
  EXPECT_THAT(member.state().waiting_for, HasSubstr("--peer-secret-file"));
}

TEST(Rejected, OneStrangerAmongMembersThatAnswerHoldsNobodyUp) {
  Member member(3);
  member.Run(Seconds(5), {{kOther, Manner::kRejects}, {kThird, Manner::kEmpty}});
  EXPECT_TRUE(member.led());
}

TEST(Rejected, AMemberThatHasLedGoesOnWhateverStrangerAppears) {
  Member member(3);
  member.Run(Seconds(5), {});
  ASSERT_TRUE(member.led());
  member.Run(Seconds(60), {{kOther, Manner::kRejects}});
  EXPECT_EQ(member.state().role, Role::kLeading);
}

}  // namespace
}  // namespace hive::election
