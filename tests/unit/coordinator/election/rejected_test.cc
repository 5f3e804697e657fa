// Goal: a member whose secret or CA is not the others' neither begins a dataset nor leads, for however long; and a
// stranger in DNS does not keep a member that has been in step with its hive from leading.
// Method: a single core; members that answer, reject or are silent, as each test says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/unit/coordinator/election/lone_member.h"

namespace hive::election {
namespace {

using testing::HasSubstr;

const Endpoint kOther{"10.0.0.2", 7400};
const Endpoint kThird{"10.0.0.3", 7400};

enum class Manner : uint8_t { kRejects, kSilent, kGone, kEmpty };

// What an empty member that is well answers.
std::optional<Event> AnswerOfAnEmptyOne(const SendRequest& sent) {
  MemberReport report;
  report.standing.available = true;
  const Header header{"hive", {sent.to.ip, 22}, sent.to, 0};
  if (std::holds_alternative<GreetRequest>(sent.request)) return ReplyReceived{sent.id, GreetReply{header, report}};
  if (std::holds_alternative<CampaignRequest>(sent.request)) {
    CampaignReply reply;
    reply.header = header;
    reply.standing = report.standing;
    return ReplyReceived{sent.id, reply};
  }
  if (std::holds_alternative<PrepareRequest>(sent.request)) {
    return ReplyReceived{sent.id, PrepareReply{header, PrepareVerdict::kPrepared, report.standing, {}}};
  }
  return std::nullopt;
}

std::optional<Event> Answer(const SendRequest& sent, Manner manner) {
  switch (manner) {
    case Manner::kRejects:
      return CallFailed{sent.id, Failure::kRejected};
    case Manner::kSilent:
      return CallFailed{sent.id, Failure::kTimeout};
    case Manner::kGone:
      return CallFailed{sent.id, Failure::kRefused};
    case Manner::kEmpty:
      return AnswerOfAnEmptyOne(sent);
  }
  return std::nullopt;
}

void Live(LoneMember& member, Duration span, const std::map<Endpoint, Manner>& others) {
  member.on_request = [&](const SendRequest& sent) { return Answer(sent, others.at(sent.to)); };
  member.on_dial = [&](const Endpoint& to) {
    const Manner manner = others.at(to);
    return manner == Manner::kRejects ? Dialled::Outcome::kRejected
           : manner == Manner::kGone  ? Dialled::Outcome::kRefused
                                      : Dialled::Outcome::kNoConnect;
  };
  std::vector<Endpoint> listed;
  for (const auto& [endpoint, manner] : others) listed.push_back(endpoint);
  member.List(listed);
  member.Run(span);
  member.on_request = nullptr;
  member.on_dial = nullptr;
}

TEST(Rejected, AnEmptyMemberNeverBegins) {
  LoneMember member(0);
  Live(member, Seconds(600), {{kOther, Manner::kRejects}});
  EXPECT_FALSE(member.led());
  EXPECT_FALSE(member.state().view.in_sync);
  EXPECT_THAT(member.state().waiting_for, HasSubstr("10.0.0.2:7400"));
  EXPECT_THAT(member.state().waiting_for, HasSubstr("--peer-secret-file"));
  EXPECT_THAT(member.state().waiting_for, HasSubstr("--tls-ca"));
  EXPECT_TRUE(member.state().members[1].rejects);
  EXPECT_EQ(member.said("it is this member's that is wrong"), 21) << "a line at once, and one for each 30 s";
}

TEST(Rejected, NorDoTwoOfThemTogether) {
  LoneMember member(0);
  Live(member, Seconds(600), {{kOther, Manner::kRejects}, {kThird, Manner::kEmpty}});
  EXPECT_FALSE(member.led());
}

TEST(Rejected, PatienceWithOneThatRejectedAndFellSilentCountsFromThen) {
  LoneMember member(0);
  Live(member, Seconds(100), {{kOther, Manner::kRejects}});
  Live(member, Seconds(55), {{kOther, Manner::kSilent}});
  EXPECT_FALSE(member.led());
  Live(member, Seconds(30), {{kOther, Manner::kSilent}});
  EXPECT_TRUE(member.led());
}

TEST(Rejected, OneThatIsGoneHoldsNobodyUp) {
  LoneMember member(0);
  Live(member, Seconds(10), {{kOther, Manner::kRejects}});
  Live(member, Seconds(4), {{kOther, Manner::kGone}});
  EXPECT_TRUE(member.led());
}

// Its coordinator was restarted with another secret: its redis has the hive's data, as the others' have.
TEST(Rejected, AMemberWithDataDoesNotLeadEither) {
  LoneMember member(3);
  Live(member, Seconds(600), {{kOther, Manner::kRejects}, {kThird, Manner::kRejects}});
  EXPECT_FALSE(member.led());
  EXPECT_THAT(member.state().waiting_for, HasSubstr("--peer-secret-file"));
}

TEST(Rejected, OneStrangerAmongMembersThatAnswerHoldsNobodyUp) {
  LoneMember member(3);
  Live(member, Seconds(5), {{kOther, Manner::kRejects}, {kThird, Manner::kEmpty}});
  EXPECT_TRUE(member.led());
}

TEST(Rejected, AMemberThatHasLedGoesOnWhateverStrangerAppears) {
  LoneMember member(3);
  Live(member, Seconds(5), {});
  ASSERT_TRUE(member.led());
  Live(member, Seconds(60), {{kOther, Manner::kRejects}});
  EXPECT_EQ(member.state().role, Role::kLeading);
}

}  // namespace
}  // namespace hive::election
