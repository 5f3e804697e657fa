// Goal: a proxy believes the right leader, for the right time. Method: answers and instants in, snapshots out.
#include "proxy/leader/leader_view.h"

#include <gtest/gtest.h>

#include "proxy/leader/lease.h"

namespace hive::proxy {
namespace {

constexpr bool kOwn = true;
constexpr bool kOther = false;

Instant At(int64_t milliseconds) { return Instant(Millis(1000000 + milliseconds)); }

Leadership Leader(uint64_t term, const std::string& ip, uint64_t incarnation = 1) {
  return {term, ip, incarnation, {ip, 6379}};
}

WatchAnswer Answer(const Leadership& leader, std::optional<Instant> asked, Duration age = {}) {
  WatchAnswer answer;
  answer.asked = asked;
  answer.hive = "bees";
  answer.leader = leader;
  answer.write_state = leader.empty() ? WriteState::kNoLeader : WriteState::kOpen;
  answer.claim_age = age;
  answer.lease = Millis(700);
  return answer;
}

TEST(SentTimesTest, RemembersTheLatestQuestions) {
  SentTimes sent;
  EXPECT_EQ(sent.At(0), std::nullopt);
  EXPECT_EQ(sent.At(1), std::nullopt);
  for (uint64_t i = 1; i <= SentTimes::kRemembered + 1; ++i) {
    EXPECT_EQ(sent.Next(At(static_cast<int64_t>(i))), i);
  }
  EXPECT_EQ(sent.At(1), std::nullopt);  // forgotten
  EXPECT_EQ(sent.At(2), At(2));
  EXPECT_EQ(sent.At(SentTimes::kRemembered + 1), At(SentTimes::kRemembered + 1));
  EXPECT_EQ(sent.At(SentTimes::kRemembered + 2), std::nullopt);  // never sent
}

TEST(LeaseTest, CountsFromTheQuestionLessTheAgeOfTheClaim) {
  EXPECT_EQ(LeaseEnd(At(0), Millis(50), Millis(700)), At(650));
  EXPECT_EQ(LeaseEnd(At(0), Millis(800), Millis(700)), At(-100));
  EXPECT_EQ(LeaseEnd(At(0), {}, Seconds(86400)), At(0) + kLongestLease);
}

TEST(LeaderViewTest, KnowsNobodyAtFirst) {
  const LeaderView view;
  EXPECT_TRUE(view.snapshot().leader.empty());
  EXPECT_FALSE(view.snapshot().MayWrite(At(0)));
  EXPECT_FALSE(view.snapshot().MayConfirmWrites(At(0)));
}

TEST(LeaderViewTest, LeaseRunsOutAndIsRenewed) {
  LeaderView view;
  EXPECT_EQ(view.Heard(At(10), kOwn, Answer(Leader(1, "10.0.0.1"), At(0))), LeaderView::Verdict::kBelieved);
  EXPECT_TRUE(view.snapshot().MayWrite(At(699)));
  EXPECT_FALSE(view.snapshot().MayWrite(At(700)));
  view.Heard(At(710), kOwn, Answer(Leader(1, "10.0.0.1"), At(705)));
  EXPECT_TRUE(view.snapshot().MayWrite(At(1404)));
}

// The schedule "buffered beats renew a lease".
TEST(LeaderViewTest, AnswersThatLayInABufferRenewNothing) {
  LeaderView view;
  view.Heard(At(10), kOwn, Answer(Leader(1, "10.0.0.1"), At(0)));
  view.Heard(At(5000), kOwn, Answer(Leader(1, "10.0.0.1"), At(100)));
  EXPECT_EQ(view.snapshot().lease_until, At(800));
  EXPECT_FALSE(view.snapshot().MayWrite(At(5000)));
}

TEST(LeaderViewTest, AnAnswerThatWaitedForItsClaimIsAsOldAsThat) {
  LeaderView view;
  WatchAnswer answer = Answer(Leader(1, "10.0.0.1"), At(0), Millis(2));
  answer.held = Millis(198);
  view.Heard(At(200), kOwn, answer);
  EXPECT_EQ(view.snapshot().lease_until, At(896));
  view.Heard(At(5000), kOwn, answer);  // this one lay in a buffer
  EXPECT_EQ(view.snapshot().lease_until, At(896));
}

TEST(LeaderViewTest, NoAnswerIsFromTheFuture) {
  LeaderView view;
  WatchAnswer answer = Answer(Leader(1, "10.0.0.1"), At(0));
  answer.held = Seconds(3600);
  view.Heard(At(200), kOwn, answer);
  EXPECT_EQ(view.snapshot().lease_until, At(900));
}

TEST(LeaderViewTest, AnAnswerWithoutAnEchoGrantsNothing) {
  LeaderView view;
  view.Heard(At(10), kOwn, Answer(Leader(1, "10.0.0.1"), std::nullopt));
  EXPECT_FALSE(view.snapshot().leader.empty());
  EXPECT_FALSE(view.snapshot().MayWrite(At(10)));
}

TEST(LeaderViewTest, AnOlderClaimDoesNotShortenTheLease) {
  LeaderView view;
  view.Heard(At(10), kOwn, Answer(Leader(1, "10.0.0.1"), At(0)));
  view.Heard(At(20), kOther, Answer(Leader(1, "10.0.0.1"), At(0), Millis(400)));
  EXPECT_EQ(view.snapshot().lease_until, At(700));
}

TEST(LeaderViewTest, TheLeaseOfOneLeaderIsNotThatOfTheNext) {
  LeaderView view;
  view.Heard(At(10), kOwn, Answer(Leader(1, "10.0.0.1"), At(0)));
  view.Heard(At(20), kOwn, Answer(Leader(2, "10.0.0.2"), std::nullopt));
  EXPECT_EQ(view.snapshot().leader, Leader(2, "10.0.0.2"));
  EXPECT_FALSE(view.snapshot().MayWrite(At(20)));
}

TEST(LeaderViewTest, AnOlderTermIsIgnoredWhileTheLeaseRuns) {
  LeaderView view;
  view.Heard(At(10), kOwn, Answer(Leader(5, "10.0.0.1"), At(0)));
  EXPECT_EQ(view.Heard(At(20), kOther, Answer(Leader(4, "10.0.0.2"), At(15))), LeaderView::Verdict::kOutdated);
  EXPECT_EQ(view.snapshot().leader.term, 5u);
  // A hive that was started anew counts from 1 again.
  EXPECT_EQ(view.Heard(At(700), kOwn, Answer(Leader(1, "10.0.0.2"), At(690))), LeaderView::Verdict::kBelieved);
  EXPECT_EQ(view.snapshot().leader.term, 1u);
}

TEST(LeaderViewTest, OfTwoLeadersOfOneTermTheFirstIsBelieved) {
  LeaderView view;
  view.Heard(At(10), kOwn, Answer(Leader(5, "10.0.0.1"), At(0)));
  EXPECT_EQ(view.Heard(At(20), kOther, Answer(Leader(5, "10.0.0.2"), At(15))), LeaderView::Verdict::kOutdated);
  EXPECT_EQ(view.snapshot().leader.ip, "10.0.0.1");
}

TEST(LeaderViewTest, NoLeaderEndsTheLease) {
  LeaderView view;
  view.Heard(At(10), kOwn, Answer(Leader(5, "10.0.0.1"), At(0)));
  view.Heard(At(20), kOwn, Answer({}, At(15)));
  EXPECT_TRUE(view.snapshot().leader.empty());
  EXPECT_FALSE(view.snapshot().MayConfirmWrites(At(20)));
  view.Heard(At(30), kOwn, Answer(Leader(5, "10.0.0.1"), At(0)));
  EXPECT_TRUE(view.snapshot().MayWrite(At(30)));
}

// A newborn member, or one that has not heard of a handover yet, says that nobody leads, or that the former one does.
TEST(LeaderViewTest, WhoeverKnowsLessEndsNoLease) {
  LeaderView view;
  view.Heard(At(0), kOther, Answer(Leader(3, "10.0.0.1"), At(0)));
  view.Heard(At(10), kOther, Answer(Leader(4, "10.0.0.2"), At(5)));
  view.Left(kOther);
  EXPECT_EQ(view.Heard(At(20), kOther, Answer({}, At(15))), LeaderView::Verdict::kOutdated);
  EXPECT_EQ(view.Heard(At(30), kOther, Answer(Leader(3, "10.0.0.1"), At(25))), LeaderView::Verdict::kOutdated);
  EXPECT_EQ(view.Heard(At(40), kOther, Answer({}, At(35))), LeaderView::Verdict::kOutdated);
  EXPECT_EQ(view.snapshot().leader, Leader(4, "10.0.0.2"));
  EXPECT_TRUE(view.snapshot().MayWrite(At(704)));
  // So does this pod's own one, when it has just been restarted.
  EXPECT_EQ(view.Heard(At(50), kOwn, Answer({}, At(45))), LeaderView::Verdict::kOutdated);
  // When nobody renews the lease, there is nothing that could be known better.
  EXPECT_EQ(view.Heard(At(705), kOther, Answer({}, At(700))), LeaderView::Verdict::kBelieved);
  EXPECT_TRUE(view.snapshot().leader.empty());
}

TEST(LeaderViewTest, WhoeverKnewTheLeaderMayEndItsLeaseUnlessTheOtherNamesIt) {
  LeaderView view;
  view.Heard(At(0), kOwn, Answer(Leader(4, "10.0.0.2"), At(0)));
  view.Heard(At(10), kOther, Answer(Leader(4, "10.0.0.2"), At(5)));
  EXPECT_EQ(view.Heard(At(20), kOwn, Answer({}, At(15))), LeaderView::Verdict::kOutdated);
  EXPECT_EQ(view.snapshot().leader.term, 4u);
  EXPECT_EQ(view.Heard(At(30), kOther, Answer({}, At(25))), LeaderView::Verdict::kBelieved);
  EXPECT_TRUE(view.snapshot().leader.empty());

  view.Heard(At(40), kOther, Answer(Leader(4, "10.0.0.2"), At(35)));
  view.Left(kOther);  // nobody's word any more
  EXPECT_EQ(view.Heard(At(50), kOwn, Answer({}, At(45))), LeaderView::Verdict::kBelieved);
}

TEST(LeaderViewTest, WhileNobodyLeadsTheFormerLeaderIsNotGoneBackTo) {
  LeaderView view;
  view.Heard(At(0), kOwn, Answer(Leader(3, "10.0.0.1"), At(0)));
  view.Heard(At(10), kOwn, Answer(Leader(4, "10.0.0.2"), At(5)));
  view.Heard(At(20), kOwn, Answer({}, At(15)));
  ASSERT_TRUE(view.snapshot().leader.empty());
  EXPECT_EQ(view.Heard(At(30), kOther, Answer(Leader(3, "10.0.0.1"), At(25))), LeaderView::Verdict::kOutdated);
  EXPECT_TRUE(view.snapshot().leader.empty());
  EXPECT_EQ(view.Heard(At(40), kOther, Answer(Leader(5, "10.0.0.3"), At(35))), LeaderView::Verdict::kBelieved);
}

TEST(LeaderViewTest, AnOlderLeaderThatGrantsNoLeaseIsNeverGoneBackTo) {
  LeaderView view;
  view.Heard(At(0), kOwn, Answer(Leader(4, "10.0.0.2"), At(0)));
  EXPECT_EQ(view.Heard(At(5000), kOther, Answer(Leader(3, "10.0.0.1"), At(4990), Millis(4000))),
            LeaderView::Verdict::kOutdated);
  EXPECT_EQ(view.Heard(At(5000), kOther, Answer(Leader(3, "10.0.0.1"), std::nullopt)), LeaderView::Verdict::kOutdated);
  EXPECT_EQ(view.snapshot().leader.term, 4u);
}

TEST(LeaderViewTest, WriteStates) {
  const struct {
    WriteState state;
    bool write;
    bool confirm;
    bool read;  // with a lease or without
  } kTable[] = {
      {WriteState::kOpen, true, true, true},
      {WriteState::kHold, false, true, false},
      {WriteState::kFenced, false, false, true},
      {WriteState::kNoLeader, false, false, false},
  };
  for (const auto& row : kTable) {
    LeaderView view;
    WatchAnswer answer = Answer(Leader(1, "10.0.0.1"), At(0));
    answer.write_state = row.state;
    view.Heard(At(1), kOwn, answer);
    EXPECT_EQ(view.snapshot().MayWrite(At(1)), row.write);
    EXPECT_EQ(view.snapshot().MayConfirmWrites(At(1)), row.confirm);
    EXPECT_EQ(view.snapshot().MayRead(), row.read);
    EXPECT_FALSE(view.snapshot().MayWrite(At(700)));
    EXPECT_FALSE(view.snapshot().MayConfirmWrites(At(700)));
  }
}

WatchAnswer Saying(WriteState state, WatchAnswer answer) {
  answer.write_state = state;
  return answer;
}

TEST(LeaderViewTest, ALeaderWhoseLastWordWasHoldHasHandedOver) {
  const struct {
    WriteState last_word;
    bool nobody_between;
    bool handed_over;
  } kTable[] = {
      {WriteState::kOpen, false, false},   {WriteState::kHold, false, true}, {WriteState::kHold, true, true},
      {WriteState::kFenced, false, false}, {WriteState::kOpen, true, false},
  };
  for (const auto& row : kTable) {
    LeaderView view;
    view.Heard(At(1), kOwn, Answer(Leader(1, "10.0.0.1"), At(0)));
    view.Heard(At(100), kOwn, Saying(row.last_word, Answer(Leader(1, "10.0.0.1"), At(99))));
    if (row.nobody_between) view.Heard(At(110), kOwn, Answer({}, At(105)));
    EXPECT_EQ(view.hands_over(), row.handed_over);
    view.Heard(At(120), kOwn, Answer(Leader(2, "10.0.0.2"), At(115)));
    EXPECT_EQ(view.snapshot().handed_over, row.handed_over);
    EXPECT_FALSE(view.hands_over());
    // The redis that led before may be believed for as long as its own lease would have run, and no longer.
    EXPECT_EQ(view.snapshot().MayConfirmFormerWrites(At(798)), row.handed_over);
    EXPECT_FALSE(view.snapshot().MayConfirmFormerWrites(At(799)));
    // Beats of the new one change nothing about that.
    view.Heard(At(220), kOwn, Answer(Leader(2, "10.0.0.2"), At(215)));
    EXPECT_EQ(view.snapshot().handed_over, row.handed_over);
    EXPECT_FALSE(view.snapshot().MayConfirmFormerWrites(At(799)));
  }
}

TEST(LeaderViewTest, ALeaderMaySayByWhomItWasHandedOver) {
  for (const bool by_the_last_known : {true, false}) {
    LeaderView view;
    view.Heard(At(1), kOwn, Answer(Leader(4, "10.0.0.1"), At(0)));
    WatchAnswer answer = Answer(Leader(6, "10.0.0.2"), At(115));
    answer.handed_over_by = by_the_last_known ? 4 : 5;  // by one that this proxy has never heard of
    view.Heard(At(120), kOwn, answer);
    EXPECT_EQ(view.snapshot().handed_over, by_the_last_known);
  }
}

TEST(LeaderViewTest, AHoldThatPassedIsNoHandover) {
  LeaderView view;
  view.Heard(At(1), kOwn, Saying(WriteState::kHold, Answer(Leader(1, "10.0.0.1"), At(0))));
  view.Heard(At(50), kOwn, Answer(Leader(1, "10.0.0.1"), At(40)));
  view.Heard(At(90), kOwn, Answer(Leader(2, "10.0.0.2"), At(80)));
  EXPECT_FALSE(view.snapshot().handed_over);
}

TEST(LeaderViewTest, AnotherHivesAnswerIsIgnored) {
  LeaderView view;
  view.Heard(At(10), kOwn, Answer(Leader(1, "10.0.0.1"), At(0)));
  WatchAnswer wasps = Answer(Leader(9, "10.0.0.9"), At(5));
  wasps.hive = "wasps";
  EXPECT_EQ(view.Heard(At(20), kOther, wasps), LeaderView::Verdict::kOtherHive);
  EXPECT_EQ(view.snapshot().leader.term, 1u);
  EXPECT_EQ(view.Heard(At(30), kOwn, wasps), LeaderView::Verdict::kBelieved);  // renamed: its own one decides
  EXPECT_EQ(view.hive(), "wasps");
}

TEST(LeaderViewTest, RemembersWhereElseToWatch) {
  LeaderView view;
  WatchAnswer answer = Answer({}, std::nullopt);
  answer.coordinators = {{"10.0.0.1", 7400}, {"10.0.0.2", 7400}};
  view.Heard(At(0), kOwn, answer);
  view.Heard(At(1), kOwn, Answer({}, std::nullopt));
  EXPECT_EQ(view.coordinators().size(), 2u);
}

TEST(LeadershipTest, ANewTermOfTheSameProcessIsTheSameRedis) {
  EXPECT_TRUE(Leader(1, "10.0.0.1").SameRedis(Leader(2, "10.0.0.1")));
  EXPECT_FALSE(Leader(1, "10.0.0.1").SameRedis(Leader(1, "10.0.0.2")));
  EXPECT_FALSE(Leader(1, "10.0.0.1", 1).SameRedis(Leader(2, "10.0.0.1", 2)));
  Leadership moved = Leader(1, "10.0.0.1");
  moved.redis.port = 6380;
  EXPECT_FALSE(Leader(1, "10.0.0.1").SameRedis(moved));
}

}  // namespace
}  // namespace hive::proxy
