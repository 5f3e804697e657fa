// Goal: the judge objects to every breach of a promise, and to nothing else. Method: scripted brains commit one at a
// time.
#include <gtest/gtest.h>

#include "tests/sim/world_fixture.h"

namespace hive::sim {
namespace {

using namespace election;  // NOLINT: the whole file speaks of its messages

class JudgeTest : public WorldTest {};

TEST_F(JudgeTest, ObjectsToAnEmptyRedisPromotedBesideData) {
  world_.redises().Preload(world_.RedisOf(1)->id, 5);
  world_.RunFor(Seconds(5));
  Say(kA, CommandRedis{2, {RedisCommand::Kind::kPromote, {}}});
  ExpectObjection("promise 1");
}

TEST_F(JudgeTest, AcceptsAnEmptyRedisPromotedAmongEmpties) {
  Say(kA, CommandRedis{2, {RedisCommand::Kind::kPromote, {}}});
  EXPECT_FALSE(world_.judge().objects());
}

TEST_F(JudgeTest, ObjectsToDataThatIsToldToReplicateNothing) {
  world_.redises().Preload(world_.RedisOf(0)->id, 5);
  world_.RunFor(Seconds(5));
  Believe(kA, ClaimOf(kB, 1));
  Say(kA, CommandRedis{2, {RedisCommand::Kind::kReplicate, {kB, kRedisPort}}});
  ExpectObjection("promise 1");
}

TEST_F(JudgeTest, ObjectsToAWipe) {
  world_.redises().Preload(world_.RedisOf(0)->id, 5);
  Believe(kA, ClaimOf(kB, 1));
  Say(kB, CommandRedis{2, {RedisCommand::Kind::kPromote, {}}});
  script_.members[kA].next = {CommandRedis{2, {RedisCommand::Kind::kReplicate, {kB, kRedisPort}}}};
  world_.RunFor(Seconds(3));
  ExpectObjection("promise 1");
}

TEST_F(JudgeTest, ObjectsToARedisPointedElsewhereThanTheLeader) {
  Believe(kA, ClaimOf(kA, 3));
  Say(kA, CommandRedis{2, {RedisCommand::Kind::kReplicate, {kB, kRedisPort}}});
  ExpectObjection("promise 3");
}

TEST_F(JudgeTest, ObjectsToFollowingTwo) {
  Say(kA, OpenFollow{2, {kB, kCoordinatorPort}, {}});
  EXPECT_FALSE(world_.judge().objects());
  Say(kA, OpenFollow{4, {kB, kCoordinatorPort}, {}});
  ExpectObjection("promise 3");
}

TEST_F(JudgeTest, ObjectsToGoingOverToALesserClaim) {
  Believe(kA, ClaimOf(kB, 3));
  Say(kA, ResolveNow{});
  Believe(kA, ClaimOf(kA, 2));
  script_.members[kB].next = {SendRequest{1, {kA, kCoordinatorPort}, GreetRequest{From(kB), {}}, Millis(100)}};
  world_.RunFor(Millis(300));
  ExpectObjection("promise 3");
}

TEST_F(JudgeTest, ObjectsToAFallingTerm) {
  script_.members[kA].state.term = 5;
  Say(kA, ResolveNow{});
  script_.members[kA].state.term = 4;
  Say(kA, ResolveNow{});
  ExpectObjection("sanity");
}

TEST_F(JudgeTest, ObjectsToAnAnswerThatNobodyAskedFor) {
  Say(kA, SendReply{99, GreetReply{From(kA), {}}});
  ExpectObjection("sanity");
}

TEST_F(JudgeTest, ObjectsToAStorm) {
  for (int i = 0; i < 450; ++i) script_.members[kA].next.push_back(ResolveNow{});
  world_.RunFor(Millis(100));
  ExpectObjection("sanity");
}

TEST_F(JudgeTest, ObjectsToALeaderWhoseRedisIsAReplica) {
  script_.members[kA].state.role = Role::kLeading;
  Believe(kA, ClaimOf(kA, 1));
  Say(kA, ResolveNow{});
  ExpectObjection("sanity");
}

TEST_F(JudgeTest, ObjectsToAWriteOnAClaimThatNobodyStandsBy) {
  LeaderView view;
  view.claim = ClaimOf(kB, 1);
  view.write_state = WriteState::kOpen;
  view.heard = Instant(Duration::max());  // as if it had just been heard
  for (int i = 0; i < 20 && !world_.judge().objects(); ++i) {
    script_.members[kA].next = {PublishLeader{view}};
    world_.RunFor(Millis(100));
  }
  ExpectObjection("promise 2");
}

TEST_F(JudgeTest, ObjectsWhenNobodyLeadsInTime) {
  world_.Heal();
  EXPECT_FALSE(world_.RunUntilConverged(Seconds(3)));
  world_.judge().OnDeadline();
  ExpectObjection("promise 4");
}

// ------------------------------------------------------------------------------------------- writable sides

class SidesTest : public LedTest {
 protected:
  SidesTest() : LedTest(Strict(3)) {}
  static Options Strict(int members) {
    Options options = Calm();
    options.members = members;
    options.expect = {};
    options.write_interval = Millis(20);
    return options;
  }
  void SetUp() override {
    ASSERT_FALSE(world_.judge().NotConverged().has_value()) << *world_.judge().NotConverged();
    ExpectNone();
  }
};

TEST_F(SidesTest, ObjectsToALeaderThatTakesWritesWhereItHearsTooFew) {
  world_.Inject(PartitionAt(1u << 1));
  Publish(WriteState::kOpen, Millis(500));
  ExpectNone();
  Publish(WriteState::kOpen, Millis(500));
  ExpectObjection("promise 2");
}

TEST_F(SidesTest, AcceptsALeaderThatHoldsInTime) {
  world_.Inject(PartitionAt(1u << 1));
  Publish(WriteState::kOpen, Millis(500));
  Publish(WriteState::kHold, Seconds(5));
  ExpectNone();
}

TEST_F(SidesTest, AcceptsALeaderOnTheLargerSideAndObjectsToAnotherOnTheSmaller) {
  world_.Inject(PartitionAt(1u << 0));
  Publish(WriteState::kOpen, Seconds(3));
  ExpectNone();
  Say(kA, Tell(RedisCommand::Kind::kPromote));
  script_.members[kA].state.role = Role::kLeading;
  Believe(kA, ClaimOf(kA, 2));
  Publish(WriteState::kOpen, Seconds(1));
  ExpectObjection("promise 2");
}

TEST_F(SidesTest, SaysNothingOnceDoubtIsOver) {
  world_.Inject(PartitionAt(1u << 1));
  Publish(WriteState::kHold, world_.options().doubt_timeout);
  Publish(WriteState::kOpen, Seconds(3));
  ExpectNone();
}

TEST_F(SidesTest, ObjectsToTwoOnOneSide) {
  Say(kA, Tell(RedisCommand::Kind::kPromote));
  script_.members[kA].state.role = Role::kLeading;
  Believe(kA, ClaimOf(kA, 2));
  Publish(WriteState::kOpen, Seconds(2));
  ExpectObjection("promise 2");
}

class FewFollowersTest : public LedTest {
 protected:
  FewFollowersTest() : LedTest(Demanding()) {}
  static Options Demanding() {
    Options options = Calm();
    options.expect = {};
    options.min_followers = 1;
    return options;
  }
};

TEST_F(FewFollowersTest, ObjectsToWritesWithoutThem) {
  ExpectNone();
  world_.KillRedis(0, std::nullopt);
  Publish(WriteState::kOpen, Seconds(1));
  ExpectNone();
  Publish(WriteState::kOpen, Seconds(3));
  ExpectObjection("promise 2");
}

// ------------------------------------------------------------------------------------------------ what is meant

class PlannedTest : public LedTest {
 protected:
  PlannedTest() : LedTest(Planned(Scenario::kPlanned, 0)) {}
  explicit PlannedTest(const Options& options) : LedTest(options) {}
  static Options Planned(Scenario scenario, int write_acks) {
    Options options = Calm();
    options.expect = {};
    options.scenario = scenario;
    options.write_acks = write_acks;
    options.write_interval = Millis(20);
    return options;
  }
  // A takes over from B; `held` of its last writes are not there.
  void MoveToA(bool caught_up) {
    if (caught_up) world_.judge().OnBegin();  // else a client notices first
    if (!caught_up) {
      world_.SetCut(1, 0, 2, Cut::kSilent);
      Publish(WriteState::kOpen, Millis(500));
    }
    Publish(WriteState::kHold, Millis(200));
    script_.members[kB].state.discarded = {1, 100 * Behind(), Millis(500), 0, 0, ""};
    Say(kB, Tell(RedisCommand::Kind::kPark));
    script_.members[kB].state.role = Role::kFollowing;
    leader_ = ClaimOf(kA, 2);
    Believe(kA, leader_);
    Believe(kB, leader_);
    Say(kA, Tell(RedisCommand::Kind::kPromote));
    script_.members[kA].state.role = Role::kLeading;
    Say(kA, ResolveNow{});
    if (!caught_up) world_.HealPair(0, 1);
    Say(kB, Replicate(kA));
    Publish(WriteState::kOpen, Seconds(2));
  }
  int64_t Behind() const {
    return static_cast<int64_t>(world_.RedisOf(1)->content.log.size() - world_.RedisOf(0)->content.log.size());
  }
};

TEST_F(PlannedTest, AcceptsAMoveThatLosesNothing) {
  MoveToA(true);
  world_.judge().OnEnd();
  ExpectNone();
}

TEST_F(PlannedTest, ObjectsToAcknowledgedWritesThatAreGone) {
  MoveToA(false);
  world_.judge().OnEnd();
  ExpectObjection("promise 5");
}

TEST_F(PlannedTest, ObjectsToAClientThatNotices) {
  world_.judge().OnBegin();
  Publish(WriteState::kOpen, Millis(500));
  Say(kB, Tell(RedisCommand::Kind::kFence));
  Publish(WriteState::kOpen, Millis(200));
  ExpectObjection("handover");
}

TEST_F(PlannedTest, ObjectsToOneThatIsToldToLeaveAndStays) {
  world_.Terminate(0, std::nullopt);
  Publish(WriteState::kOpen, Seconds(5));
  ExpectNone();
  Publish(WriteState::kOpen, Seconds(1));
  ExpectObjection("handover");
}

TEST_F(PlannedTest, ObjectsToAHandoverThatIsNeverAnswered) {
  world_.AskHandover(0, std::nullopt);
  Publish(WriteState::kOpen, Seconds(8));
  ExpectObjection("handover");
}

class OneFaultTest : public PlannedTest {
 protected:
  OneFaultTest() : PlannedTest(Planned(Scenario::kOneFault, 1)) {}
};

TEST_F(OneFaultTest, ObjectsToConfirmedWritesThatAreGone) {
  Publish(WriteState::kOpen, Millis(500));
  Publish(WriteState::kHold, Millis(200));
  for (const int slot : {0, 1}) world_.redises().at(world_.RedisOf(slot)->id).content.log.resize(3);
  Publish(WriteState::kOpen, Millis(50));
  world_.judge().OnEnd();
  ExpectObjection("promise 5");
}

TEST_F(PlannedTest, ObjectsToACommandToARedisWhoseCoordinatorLives) {
  Publish(WriteState::kOpen, Seconds(1));
  Say(kA, CommandRemote{9, {kB, kRedisPort}, {RedisCommand::Kind::kPark, {}}, {}, Millis(200)});
  ExpectObjection("promise 3");
}

TEST_F(PlannedTest, AcceptsOneToARedisWhoseCoordinatorIsGone) {
  world_.KillCoordinator(1, std::nullopt);
  Say(kA, CommandRemote{9, {kB, kRedisPort}, {RedisCommand::Kind::kPark, {}}, {}, Millis(200)});
  ExpectNone();
}

// ------------------------------------------------------------------------------------------------- told to lead

class ForcedTest : public PlannedTest {
 protected:
  ForcedTest() : PlannedTest(Planned(Scenario::kMixed, 0)) {}
  // A is told to lead; B, which led and has data, has been silent for long.
  void Force(const std::vector<std::string>& given_up) {
    Publish(WriteState::kOpen, Seconds(1));
    world_.StallPod(1, Seconds(60));
    world_.RunFor(Seconds(5));
    const RequestId asked = world_.CoordinatorOf(0)->last_request + 1;
    script_.members[kA].next = {AnswerLead{asked, AnswerLead::Outcome::kWould, "it would lead", given_up, {}}};
    world_.ForceLead(0);
    Say(kA, AnswerLead{asked + 1, AnswerLead::Outcome::kLeads, "by force", {}, {}});
  }
};

TEST_F(ForcedTest, AcceptsThatItSaysWhomItGivesUp) {
  Force({std::string(kB) + ", last heard 5 s ago"});
  ExpectNone();
}

TEST_F(ForcedTest, ObjectsToSilence) {
  Force({});
  ExpectObjection("forced");
}

TEST_F(ForcedTest, ObjectsToOneThatNeverAnswers) {
  world_.ForceLead(0);
  Publish(WriteState::kOpen, Seconds(12));
  ExpectObjection("forced");
}

// ------------------------------------------------------------------------------------------------- what is dropped

class DiscardTest : public PlannedTest {
 protected:
  DiscardTest() : PlannedTest(Planned(Scenario::kMixed, 0)) {}
  // B, which has more, begins to replicate A.
  void Drop(const Discarded& said) {
    Publish(WriteState::kOpen, Seconds(1));
    world_.SetCut(1, 0, 2, Cut::kSilent);
    Publish(WriteState::kOpen, Millis(800));
    Publish(WriteState::kHold, Millis(100));
    behind_ = Behind();
    Discarded discarded = said;
    if (discarded.bytes == kTruth) discarded.bytes = behind_ * kWriteBytes;
    script_.members[kB].state.discarded = discarded;
    script_.members[kB].state.role = Role::kFollowing;
    Believe(kA, ClaimOf(kA, 2));
    Believe(kB, ClaimOf(kA, 2));
    Say(kA, Tell(RedisCommand::Kind::kPromote));
    script_.members[kA].state.role = Role::kLeading;
    world_.HealPair(0, 1);
    Say(kB, Replicate(kA));
    Publish(WriteState::kHold, Seconds(2));
    ASSERT_GT(behind_, 8);
  }
  static constexpr int64_t kTruth = -1;
  int64_t behind_ = 0;
};

TEST_F(DiscardTest, AcceptsWhatWasReported) {
  Drop({1, kTruth, Seconds(1), 0, 0, ""});
  EXPECT_EQ(world_.judge().drops(), 1u);
  ExpectNone();
}

TEST_F(DiscardTest, ObjectsToSilence) {
  Drop({});
  ExpectObjection("promise 6");
}

TEST_F(DiscardTest, ObjectsToAWrongNumber) {
  Drop({1, 100, Seconds(1), 0, 0, ""});
  ExpectObjection("promise 6");
}

TEST_F(DiscardTest, ObjectsToForeignDataDroppedAsItsOwn) {
  world_.redises().at(world_.RedisOf(1)->id).content.root = 77;
  Drop({1, kTruth, Seconds(1), 0, 0, ""});
  ExpectObjection("promise 6");
}

TEST_F(DiscardTest, ObjectsToDataOfAnotherHive) {
  const std::string ip = world_.pods().OfSlot(1)->ip;
  world_.KillPod(1, false, std::nullopt);
  Publish(WriteState::kNoLeader, Seconds(4));
  world_.StartForeign(ip);
  Publish(WriteState::kNoLeader, Seconds(3));
  ExpectObjection("promise 1");
}

class RefusalTest : public LedTest {
 protected:
  RefusalTest() : LedTest(Refusing()) {}
  static Options Refusing() {
    Options options = Calm();
    options.refuses_client = 1u << 1;
    return options;
  }
};

TEST_F(RefusalTest, ObjectsToARefusalThatIsShownNowhere) {
  Say(kB, Tell(RedisCommand::Kind::kPause, Millis(100)));
  Publish(WriteState::kOpen, Millis(100));
  world_.judge().OnEnd();
  ExpectObjection("sanity");
}

TEST_F(RefusalTest, AcceptsOneThatIsShown) {
  script_.members[kB].state.refused_commands["CLIENT PAUSE"] = "ERR unknown command";
  Say(kB, Tell(RedisCommand::Kind::kPause, Millis(100)));
  Publish(WriteState::kOpen, Millis(100));
  world_.judge().OnEnd();
  ExpectNone();
}

}  // namespace
}  // namespace hive::sim
