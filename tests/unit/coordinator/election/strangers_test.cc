// Goal: what a message says of its sender is worth no more than the answer at the sender's own address: strangers are
// not met, raise no term and depose nobody; and a member in whose name somebody else speaks is asked first.
// Method: a single core that leads, or has just started; messages by hand.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/coordinator/election/lone_member.h"

namespace hive::election {
namespace {

const Endpoint kOther{"10.0.0.2", 7400};

Header HeaderOfOther(Term term = 0) { return {"hive", {kOther.ip, 22}, kOther, term}; }
Header HeaderOfStranger(int number, Term term = 0) {
  const std::string ip = "10.9." + std::to_string(number / 250) + "." + std::to_string(number % 250 + 1);
  return {"hive", {ip, 4711}, {ip, 7400}, term};
}

Claim ClaimOf(const Header& header, Term term) {
  return {term, 1, header.self, header.coordinator, {header.self.ip, 6379}};
}

LeadRequest Promoting(const Header& header, Term term) {
  return {header, LeadPhase::kPromoting, ClaimOf(header, term), {}, {}, {}};
}

// What the other member says of itself when it is asked.
enum class Other : uint8_t { kFollows, kPromotes, kSilent, kRefuses };

class StrangersTest : public testing::Test {
 protected:
  void Answer(Other manner, Term claimed = 9) {
    asked_ = 0;
    leader.on_request = [this, manner, claimed](const SendRequest& sent) -> std::optional<Event> {
      if (!std::holds_alternative<GreetRequest>(sent.request)) return std::nullopt;
      ++asked_;
      if (sent.to != kOther || manner == Other::kRefuses) return CallFailed{sent.id, Failure::kRefused};
      if (manner == Other::kSilent) return CallFailed{sent.id, Failure::kTimeout};
      MemberReport report;
      report.standing.available = true;
      report.role = manner == Other::kPromotes ? Role::kPromoting : Role::kFollowing;
      if (manner == Other::kPromotes) report.leader = ClaimOf(HeaderOfOther(), claimed);
      return ReplyReceived{sent.id, GreetReply{HeaderOfOther(), report}};
    };
  }

  // A leader that has met the other member.
  void Lead() {
    Answer(Other::kFollows);
    leader.List({kOther});
    leader.Run(Seconds(5));
    ASSERT_EQ(leader.state().role, Role::kLeading);
    ASSERT_EQ(leader.state().view.write_state, WriteState::kOpen);
    term = leader.state().term;
  }

  LoneMember leader{3};
  Term term = 0;
  int asked_ = 0;
};

TEST_F(StrangersTest, AreAskedWhoTheyAreAFewEachSecondAndForgotten) {
  Lead();
  Answer(Other::kFollows);
  for (int i = 0; i < 3000; ++i) {
    const std::optional<Reply> reply = leader.Ask(Promoting(HeaderOfStranger(i), term + 5));
    ASSERT_TRUE(reply);
    EXPECT_TRUE(std::holds_alternative<Refusal>(*reply));
  }
  EXPECT_LE(asked_, 16);
  EXPECT_EQ(leader.state().members.size(), 2u);
  EXPECT_EQ(leader.state().term, term);
  EXPECT_EQ(leader.state().view.write_state, WriteState::kOpen);
  EXPECT_EQ(leader.refused("stranger"), 3000u);
  leader.Run(Seconds(2));
  leader.Ask(GreetRequest{HeaderOfStranger(1), {}});
  EXPECT_GE(asked_, 1) << "and the next one again";
}

// Two that do not know one another yet must be able to meet: the first greeting is answered, but not listened to.
TEST_F(StrangersTest, AGreetingIsAnsweredButNotTakenIn) {
  Lead();
  leader.on_request = nullptr;
  const Header stranger = HeaderOfStranger(1, term + 5);
  const std::optional<Reply> reply = leader.Ask(GreetRequest{stranger, {}});
  ASSERT_TRUE(reply);
  EXPECT_TRUE(std::holds_alternative<GreetReply>(*reply));
  EXPECT_EQ(leader.state().term, term);
  EXPECT_EQ(leader.state().members.size(), 2u);
}

TEST_F(StrangersTest, AClaimThatItsMemberDeniesChangesNothingAndIsCounted) {
  Lead();
  for (int i = 0; i < 100; ++i) {
    leader.Ask(Promoting(HeaderOfOther(), term + 5));
    leader.Run(Millis(25));
    EXPECT_EQ(leader.state().view.write_state, WriteState::kOpen);
  }
  EXPECT_EQ(leader.said("fenced"), 0);
  EXPECT_GT(leader.refused("unconfirmed claim"), 0u);
  EXPECT_EQ(leader.said("nobody at its address confirms it"), 1);
}

TEST_F(StrangersTest, AClaimWhoseMemberIsGoneChangesNothing) {
  Lead();
  Answer(Other::kRefuses);
  leader.Ask(Promoting(HeaderOfOther(), term + 5));
  leader.Run(Millis(100));
  EXPECT_EQ(leader.state().view.write_state, WriteState::kOpen);
  EXPECT_EQ(leader.said("fenced"), 0);
  EXPECT_EQ(leader.refused("unconfirmed claim"), 1u);
}

TEST_F(StrangersTest, AClaimThatItsMemberConfirmsFences) {
  Lead();
  Answer(Other::kPromotes);
  leader.Ask(Promoting(HeaderOfOther(), 9));
  EXPECT_EQ(leader.state().view.write_state, WriteState::kFenced);
  EXPECT_EQ(leader.refused("unconfirmed claim"), 0u);
}

// Its message got here, and our question may not get there: a partition in one direction.
TEST_F(StrangersTest, AClaimOfAMemberThatFallsSilentIsBelieved) {
  Lead();
  Answer(Other::kSilent);
  leader.Ask(Promoting(HeaderOfOther(), term + 5));
  EXPECT_EQ(leader.state().view.write_state, WriteState::kFenced);
}

TEST_F(StrangersTest, WritesWaitForTheAnswer) {
  Lead();
  leader.on_request = nullptr;
  leader.Ask(Promoting(HeaderOfOther(), term + 5));
  EXPECT_EQ(leader.state().view.write_state, WriteState::kHold);
}

TEST_F(StrangersTest, ManyYieldsUseUpOneTermAtMost) {
  Lead();
  leader.Run(Seconds(1));
  YieldRequest request{HeaderOfOther(), {}};
  request.key.claim = ClaimOf(request.header, term);
  request.key.open_for = Seconds(100);
  for (int i = 0; i < 100; ++i) leader.Ask(request);
  EXPECT_LE(leader.state().term, term + 1);
  request.header = HeaderOfStranger(7);
  request.key.claim = ClaimOf(request.header, term + 10);
  leader.Ask(request);
  EXPECT_LE(leader.state().term, term + 1);
}

TEST_F(StrangersTest, AnUnaskedTermFarAheadIsAskedForFirst) {
  Lead();
  const std::optional<Reply> refused = leader.Ask(Promoting(HeaderOfOther(term + 5000), term + 5000));
  ASSERT_TRUE(refused);
  EXPECT_TRUE(std::holds_alternative<Refusal>(*refused));
  EXPECT_EQ(leader.state().term, term);
  EXPECT_EQ(leader.refused("absurd term"), 1u);
  leader.on_request = [this](const SendRequest& sent) -> std::optional<Event> {
    return ReplyReceived{sent.id, GreetReply{HeaderOfOther(term + 5000), {}}};
  };
  leader.Run(Seconds(2));
  EXPECT_EQ(leader.state().term, term + 5000) << "its own answer is believed";
}

}  // namespace
}  // namespace hive::election
