// Goal: the world behaves as the contract of coordinator/election/events.h says. Method: scripted brains say one
// thing at a time, and look at what comes back.
#include <gtest/gtest.h>

#include "tests/sim/world_fixture.h"

namespace hive::sim {
namespace {

using namespace election;  // NOLINT: the whole file speaks of its messages

TEST_F(WorldTest, EveryoneHearsOfItsRedisAndOfDns) {
  EXPECT_GE(script_.Heard<RedisReported>(kA), 3);
  EXPECT_TRUE(script_.Last<RedisReported>(kA).status.parked());
  EXPECT_EQ(script_.Last<PeersListed>(kA).listed.size(), 2u);
}

TEST_F(WorldTest, ACallIsAnsweredOnce) {
  Call(7);
  world_.RunFor(Millis(20));
  ASSERT_EQ(script_.Heard<RequestReceived>(kB), 1);
  const RequestId id = script_.Last<RequestReceived>(kB).id;
  Say(kB, SendReply{id, GreetReply{From(kB), {}}});
  ASSERT_EQ(script_.Heard<ReplyReceived>(kA), 1);
  EXPECT_EQ(script_.Last<ReplyReceived>(kA).id, 7u);
  world_.RunFor(Seconds(1));
  EXPECT_EQ(script_.Heard<CallFailed>(kA), 0);
}

TEST_F(WorldTest, ACallToADeadProcessIsRefusedAndOneThatDiesMeanwhileCloses) {
  Call(1);
  world_.KillCoordinator(1, std::nullopt);
  world_.RunFor(Millis(20));
  ASSERT_EQ(script_.Heard<CallFailed>(kA), 1);
  EXPECT_EQ(script_.Last<CallFailed>(kA).failure, Failure::kClosed);
  Call(2);
  world_.RunFor(Millis(20));
  EXPECT_EQ(script_.Last<CallFailed>(kA).failure, Failure::kRefused);
}

TEST_F(WorldTest, SilenceEndsInTimeout) {
  world_.CutBoth(0, 1, 3, Cut::kSilent);
  Call(1);
  world_.RunFor(Millis(200));
  EXPECT_EQ(script_.Heard<CallFailed>(kA), 0);
  world_.RunFor(Millis(200));
  ASSERT_EQ(script_.Heard<CallFailed>(kA), 1);
  EXPECT_EQ(script_.Last<CallFailed>(kA).failure, Failure::kTimeout);
}

TEST_F(WorldTest, DialsFindWhatIsThere) {
  DialB(1);
  world_.RunFor(Millis(200));
  EXPECT_EQ(script_.Last<Dialled>(kA).answered_by, script_.members[kB].config.self);
  world_.StallCoordinator(1, Millis(400));
  DialB(2);
  world_.RunFor(Millis(200));
  EXPECT_EQ(script_.Last<Dialled>(kA).outcome, Dialled::Outcome::kMute);
  world_.RunFor(Millis(400));
  world_.KillCoordinator(1, std::nullopt);
  DialB(3);
  world_.RunFor(Millis(200));
  EXPECT_EQ(script_.Last<Dialled>(kA).outcome, Dialled::Outcome::kRefused);
  world_.KillPod(1, false, std::nullopt);
  DialB(4);
  world_.RunFor(Millis(200));
  EXPECT_EQ(script_.Last<Dialled>(kA).outcome, Dialled::Outcome::kNoConnect);
}

TEST_F(WorldTest, StreamsKeepTheirOrderAndCloseWithTheProcess) {
  Say(kA, OpenFollow{2, {kB, kCoordinatorPort}, {}});
  ASSERT_EQ(script_.Heard<FollowOpened>(kB), 1);
  ASSERT_EQ(script_.Heard<ReportReceived>(kB), 1);
  const StreamId id = script_.Last<FollowOpened>(kB).id;
  EXPECT_EQ(id % 2, 1u);
  for (uint64_t number = 1; number <= 5; ++number) {
    Beat beat;
    beat.number = number;
    script_.members[kB].next.push_back(SendBeat{id, beat});
  }
  world_.RunFor(Millis(50));
  uint64_t expected = 0;
  for (const Event& event : script_.members[kA].heard) {
    const auto* beat = std::get_if<BeatReceived>(&event);
    if (beat == nullptr) continue;
    EXPECT_EQ(beat->beat.number, ++expected);
  }
  EXPECT_EQ(expected, 5u);
  world_.KillCoordinator(1, std::nullopt);
  world_.RunFor(Millis(20));
  EXPECT_EQ(script_.Last<StreamClosed>(kA).failure, Failure::kClosed);
}

TEST_F(WorldTest, SilenceBreaksNoStreamAndResetsDo) {
  Say(kA, OpenFollow{2, {kB, kCoordinatorPort}, {}});
  world_.CutBoth(0, 1, 3, Cut::kSilent);
  Say(kB, SendBeat{script_.Last<FollowOpened>(kB).id, {}});
  world_.RunFor(Seconds(2));
  EXPECT_EQ(script_.Heard<BeatReceived>(kA), 0);
  EXPECT_EQ(script_.Heard<StreamClosed>(kA), 0);
  world_.HealPair(0, 1);
  world_.RunFor(Seconds(1));
  EXPECT_EQ(script_.Heard<BeatReceived>(kA), 1);
  world_.CutBoth(0, 1, 3, Cut::kReset);
  world_.RunFor(Millis(50));
  EXPECT_EQ(script_.Heard<StreamClosed>(kA), 1);
  EXPECT_EQ(script_.Heard<StreamClosed>(kB), 1);
}

TEST_F(WorldTest, AFrozenProcessSeesWhatWaitedOnWaking) {
  world_.StallCoordinator(1, Millis(800));
  Call(1);
  world_.RunFor(Millis(500));
  EXPECT_EQ(script_.Heard<RequestReceived>(kB), 0);
  world_.RunFor(Millis(500));
  EXPECT_EQ(script_.Heard<RequestReceived>(kB), 1);
}

TEST_F(WorldTest, ARestartedRedisIsLostThenAnotherRun) {
  const std::string run = script_.Last<RedisReported>(kA).status.run_id;
  world_.KillRedis(0, Millis(50));
  world_.RunFor(Millis(30));
  EXPECT_EQ(script_.Heard<RedisLost>(kA), 1);
  world_.RunFor(Millis(200));
  EXPECT_NE(script_.Last<RedisReported>(kA).status.run_id, run);
}

TEST_F(WorldTest, AStoppedRedisIsMuteAndObeysLater) {
  world_.StopRedis(0, Seconds(4));
  Say(kA, CommandRedis{9, {RedisCommand::Kind::kPromote, {}}});
  world_.RunFor(Seconds(3));
  EXPECT_EQ(script_.Heard<RedisMute>(kA), 1);
  ASSERT_EQ(script_.Heard<RedisDone>(kA), 1);
  EXPECT_FALSE(script_.Last<RedisDone>(kA).ok);
  world_.RunFor(Seconds(2));
  EXPECT_TRUE(script_.Last<RedisReported>(kA).status.is_master);  // the ghost of a command
}

TEST_F(WorldTest, AProbeTellsEmptyFromData) {
  Say(kA, ProbeRedis{1, {kB, kRedisPort}});
  EXPECT_EQ(script_.Last<RedisProbed>(kA).outcome, RedisProbed::Outcome::kEmpty);
  world_.redises().Preload(world_.RedisOf(1)->id, 5);
  Say(kA, ProbeRedis{2, {kB, kRedisPort}});
  EXPECT_EQ(script_.Last<RedisProbed>(kA).outcome, RedisProbed::Outcome::kHasData);
  world_.KillRedis(1, std::nullopt);
  Say(kA, ProbeRedis{3, {kB, kRedisPort}});
  EXPECT_EQ(script_.Last<RedisProbed>(kA).outcome, RedisProbed::Outcome::kRefused);
}

TEST_F(WorldTest, AnOrphanIsDemotedOnlyWhileItsCoordinatorRefuses) {
  world_.redises().Preload(world_.RedisOf(0)->id, 5);
  world_.redises().Preload(world_.RedisOf(1)->id, 5);
  script_.members[kA].state.role = Role::kLeading;
  const DemoteOrphan demote{4, {kB, kRedisPort}, {kB, kCoordinatorPort}, {kA, kRedisPort}};
  Say(kA, demote);
  EXPECT_EQ(script_.Last<OrphanAnswered>(kA).outcome, OrphanAnswered::Outcome::kCoordinatorAnswers);
  EXPECT_TRUE(world_.RedisOf(1)->master);
  world_.KillCoordinator(1, std::nullopt);
  Say(kA, demote);
  EXPECT_EQ(script_.Last<OrphanAnswered>(kA).outcome, OrphanAnswered::Outcome::kObeyed);
  EXPECT_FALSE(world_.RedisOf(1)->master);
}

TEST_F(WorldTest, WhatACoordinatorRemembersOutlivesItButNotItsPod) {
  Say(kA, Remember{{"run", true, 5, {}, {}}});
  world_.KillCoordinator(0, Millis(10));
  world_.RunFor(Millis(100));
  ASSERT_TRUE(script_.members[kA].config.memory.has_value());
  EXPECT_EQ(script_.members[kA].config.memory->term, 5u);
  world_.KillPod(0, true, Millis(10), /*same_ip=*/true);
  world_.RunFor(Millis(100));
  EXPECT_FALSE(script_.members[kA].config.memory.has_value());
}

// --------------------------------------------------------------------------------------- another member's redis

class RemoteTest : public WorldTest {
 protected:
  void Command(CallId id, RedisCommand::Kind kind, const std::string& run = {}) {
    Say(kA, CommandRemote{id, {kB, kRedisPort}, {kind, {}, Millis(500)}, run, Millis(200)});
  }
  RemoteDone::Outcome Outcome() const { return script_.Last<RemoteDone>(kA).outcome; }
};

TEST_F(RemoteTest, IsCarriedOutOnTheRunThatIsMeant) {
  const std::string run = world_.redises().Status(world_.RedisOf(1)->id).run_id;
  Command(1, RedisCommand::Kind::kPromote, run);
  EXPECT_EQ(Outcome(), RemoteDone::Outcome::kDone);
  EXPECT_TRUE(script_.Last<RemoteDone>(kA).status.is_master);
  Command(2, RedisCommand::Kind::kPark, "another");
  EXPECT_EQ(Outcome(), RemoteDone::Outcome::kAnotherRun);
  EXPECT_TRUE(world_.RedisOf(1)->master);
}

TEST_F(RemoteTest, CommandsKeepTheirOrder) {
  script_.members[kA].next = {CommandRemote{1, {kB, kRedisPort}, {RedisCommand::Kind::kPromote, {}}, {}, Millis(200)},
                              CommandRemote{2, {kB, kRedisPort}, {RedisCommand::Kind::kFence, {}}, {}, Millis(200)},
                              CommandRemote{3, {kB, kRedisPort}, {RedisCommand::Kind::kPark, {}}, {}, Millis(200)}};
  world_.RunFor(Millis(150));
  EXPECT_EQ(script_.Heard<RemoteDone>(kA), 3);
  EXPECT_EQ(script_.Last<RemoteDone>(kA).id, 3u);
  EXPECT_TRUE(world_.RedisOf(1)->parked());
  EXPECT_TRUE(world_.RedisOf(1)->fenced);
}

TEST_F(RemoteTest, AStoppedRedisIsSentNothing) {
  world_.StopRedis(1, Seconds(1));
  Command(1, RedisCommand::Kind::kPromote);
  EXPECT_EQ(script_.Heard<RemoteDone>(kA), 0);
  world_.RunFor(Millis(250));
  EXPECT_EQ(Outcome(), RemoteDone::Outcome::kUnreachable);
  world_.RunFor(Seconds(2));
  EXPECT_FALSE(world_.RedisOf(1)->master) << "a ghost";
}

TEST_F(RemoteTest, OneThatIsStoppedInBetweenObeysWhenItWakes) {
  script_.members[kA].next = {CommandRemote{1, {kB, kRedisPort}, {RedisCommand::Kind::kPromote, {}}, {}, Millis(200)}};
  // Looks at every step for the moment between its first reply and the command.
  while (script_.Heard<RemoteDone>(kA) == 0 && world_.now() < Seconds(2)) {
    world_.RunFor(std::chrono::microseconds(50));
    const auto& remotes = world_.CoordinatorOf(0)->remotes;
    const auto remote = remotes.find({kB, kRedisPort});
    if (remote != remotes.end() && remote->second.sent && !world_.RedisOf(1)->stopped) {
      world_.StopRedis(1, Millis(600));
    }
  }
  EXPECT_EQ(Outcome(), RemoteDone::Outcome::kUnknown);
  EXPECT_FALSE(world_.RedisOf(1)->master);
  world_.RunFor(Seconds(1));
  EXPECT_TRUE(world_.RedisOf(1)->master);
}

TEST_F(RemoteTest, SilenceAndRefusal) {
  world_.CutBoth(0, 1, 2, Cut::kSilent);
  Command(1, RedisCommand::Kind::kPark);
  world_.RunFor(Millis(250));
  EXPECT_EQ(Outcome(), RemoteDone::Outcome::kUnreachable);
  world_.HealPair(0, 1);
  world_.KillRedis(1, std::nullopt);
  Command(2, RedisCommand::Kind::kPark);
  EXPECT_EQ(script_.Heard<RemoteDone>(kA), 2);
  EXPECT_EQ(Outcome(), RemoteDone::Outcome::kUnreachable);
}

// -------------------------------------------------------------------------------------------------- on purpose

TEST_F(WorldTest, APodThatIsToldToStopEndsOnceItsCoordinatorHasLeft) {
  world_.Terminate(0, std::nullopt);
  world_.RunFor(Seconds(2));
  EXPECT_EQ(script_.Heard<LeaveAsked>(kA), 1);
  ASSERT_NE(world_.RedisOf(0), nullptr);
  Say(kA, Left{});
  EXPECT_EQ(world_.CoordinatorOf(0), nullptr);
  world_.RunFor(Seconds(2));  // its proxy's clients have long been waiting for a leader
  EXPECT_EQ(world_.RedisOf(0), nullptr);
}

TEST_F(WorldTest, ItsRedisOutlivesItsCoordinatorAndTheGracePeriodEndsBoth) {
  Say(kB, ResolveNow{});
  world_.Terminate(0, Millis(100));
  Say(kA, Left{});
  EXPECT_EQ(world_.CoordinatorOf(0), nullptr);
  EXPECT_NE(world_.RedisOf(0), nullptr);
  world_.Terminate(1, std::nullopt);  // never says Left
  world_.RunFor(Seconds(9));
  EXPECT_NE(world_.CoordinatorOf(1), nullptr);
  EXPECT_NE(world_.RedisOf(0), nullptr) << "replaced";
  world_.RunFor(Seconds(2));
  EXPECT_EQ(world_.CoordinatorOf(1), nullptr);
}

TEST_F(WorldTest, AHandoverIsAskedForAndAnswered) {
  world_.AskHandover(0, 1);
  world_.RunFor(Millis(10));
  ASSERT_EQ(script_.Heard<HandoverAsked>(kA), 1);
  EXPECT_EQ(script_.Last<HandoverAsked>(kA).to, kB);
  EXPECT_EQ(world_.CoordinatorOf(0)->handovers.size(), 1u);
  Say(kA, AnswerHandover{script_.Last<HandoverAsked>(kA).id, true, "", {}});
  EXPECT_TRUE(world_.CoordinatorOf(0)->handovers.empty());
}

TEST_F(WorldTest, AnIpIsUsedAgainByAnotherHive) {
  world_.KillPod(1, true, std::nullopt);
  world_.StartForeign(kB);
  world_.RunFor(Millis(100));
  EXPECT_EQ(script_.members[kB].config.hive, kOtherHive);
  EXPECT_EQ(script_.Last<PeersListed>(kB).listed.size(), 1u);
  Call(5);
  world_.RunFor(Millis(30));
  EXPECT_EQ(script_.Heard<RequestReceived>(kB), 1);
  EXPECT_FALSE(world_.judge().objects());
}

}  // namespace
}  // namespace hive::sim
