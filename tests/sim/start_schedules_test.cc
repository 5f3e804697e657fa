// Goal: the schedules that docs/election.md names: first starts, and changes of size. Method: the real core in the
// simulated world; the judge watches all of them, so a test says only what is special about it.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/sim/schedule.h"
#include "tests/sim/world.h"

namespace hive::sim {
namespace {

// ------------------------------------------------------------------------------------------------ first start

TEST(FirstStart, AllStartAtOnce) {
  for (int members = 1; members <= kMaxMembers; ++members) {
    Play(members, [](World& world) {
      world.StartMembers();
      EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
      EXPECT_TRUE(world.RunFor(Seconds(3)));
      EXPECT_EQ(world.redises().promotions(), 1);
    });
  }
}

TEST(FirstStart, OneByOne) {
  for (const Duration spread : {Millis(300), Millis(3000)}) {
    Play(
        5,
        [](World& world) {
          world.StartMembers();
          EXPECT_TRUE(world.RunFor(Seconds(20)));
          EXPECT_FALSE(world.judge().NotConverged());
          EXPECT_EQ(world.redises().promotions(), 1);
        },
        [spread](Options& options) { options.start_spread = spread; });
  }
}

TEST(FirstStart, AnExistingRedisWithDataIsAdopted) {
  Play(
      3,
      [](World& world) {
        world.StartMembers();
        EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
        EXPECT_EQ(world.Leader(), 0);
        EXPECT_GE(world.RedisOf(2)->content.log.size(), 20u);
      },
      [](Options& options) { options.start = StartStyle::kAdopted; });
}

TEST(FirstStart, ANeverMetIpIsStillPullingItsImage) {
  Play(3, [](World& world) {
    world.StartPod(3, false, /*with_coordinator=*/false);
    world.StartMembers();
    EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
  });
}

TEST(FirstStart, DnsListsADeadIpThatMayHoldTheData) {
  Play(
      3,
      [](World& world) {
        world.dns().Add("10.0.0.200");  // silent for minutes
        world.StartMembers();
        EXPECT_TRUE(world.RunFor(Seconds(15)));
        EXPECT_EQ(world.Leader(), kLost) << "empties must be patient with a silent member";
        EXPECT_TRUE(world.RunUntilConverged(Seconds(15)));
      },
      [](Options& options) { options.empty_wait = Seconds(20); });
}

TEST(FirstStart, CoordinatorPortBlockedRedisPortOpen) {
  Play(
      3,
      [](World& world) {
        for (const int other : {1, 2}) world.CutBoth(0, other, 1, Cut::kReset);
        world.StartMembers();
        EXPECT_TRUE(world.RunFor(Seconds(8)));
        EXPECT_FALSE(LeadsAmong(world, {1, 2})) << "the redis port says that there is data";
        for (const int other : {1, 2}) world.HealPair(0, other);
        EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
        EXPECT_GE(world.RedisOf(1)->content.log.size(), 20u);
      },
      [](Options& options) { options.start = StartStyle::kAdopted; });
}

TEST(FirstStart, DnsListsTooFew) {
  Play(3, [](World& world) {
    world.dns().Hide(2, 3, Seconds(6));  // the third member sees itself only
    world.StartMembers();
    world.RunFor(Seconds(6));
    EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
  });
}

// ------------------------------------------------------------------------------------------------- the size

TEST(Scaling, UpDownToOneAndUpAgain) {
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int leader = world.Leader();
    world.StartPod(3);
    EXPECT_TRUE(world.RunFor(Seconds(3)));
    EXPECT_FALSE(world.judge().NotConverged());
    EXPECT_EQ(world.Leader(), leader);
    const std::set<WriteId> safe = Held(world, 3);
    for (const int slot : {0, 1, 2}) {
      world.RemovePod(slot);
      EXPECT_TRUE(world.RunFor(Seconds(5)));
    }
    EXPECT_EQ(world.Leader(), 3);
    EXPECT_TRUE(LeaderHolds(world, safe));
    for (const int slot : {0, 1}) world.StartPod(slot);
    EXPECT_TRUE(world.RunFor(Seconds(4)));
    EXPECT_FALSE(world.judge().NotConverged());
    EXPECT_EQ(world.Leader(), 3);
  });
}

// ------------------------------------------------------------------------------------------------------- clocks

// How far the wall clocks of a leader's followers are ahead of its own, by slot: as it says, and as it is.
std::map<int, std::pair<Duration, Duration>> ClocksAhead(World& world) {
  std::map<int, std::pair<Duration, Duration>> clocks;
  const int leader = world.Leader();
  const WallMicros own = world.pods().OfSlot(leader)->skew;
  for (const election::MemberState& member : world.CoordinatorOf(leader)->state.members) {
    const Pod* pod = world.pods().At(member.coordinator.ip);
    if (pod == nullptr || pod->slot == leader) continue;
    clocks[pod->slot] = {member.clock_ahead, std::chrono::microseconds(pod->skew - own)};
  }
  return clocks;
}

TEST(Clocks, AFollowerWhoseClockIsOffIsNamedUntilItIsRight) {
  const auto script = [](World& world) {
    Begin(world);
    ASSERT_EQ(ClocksAhead(world).size(), 2u);
    for (const auto& [slot, ahead] : ClocksAhead(world)) {
      const auto& [told, is] = ahead;
      if (std::max(is, -is) < Seconds(5)) continue;  // may be told or not
      EXPECT_NEAR(static_cast<double>(ToMillis(told)), static_cast<double>(ToMillis(is)), 500);
    }
    for (Pod& pod : world.pods().rows()) pod.skew = 0;  // NTP has found its servers
    ASSERT_TRUE(world.RunFor(Seconds(1)));
    for (const auto& [slot, ahead] : ClocksAhead(world)) EXPECT_EQ(ahead.first, Duration{0});
  };
  Play(3, script, [](Options& options) { options.wall_skew = Seconds(3600 * 5); });
}

// ------------------------------------------------------------------------------------------------ the simulator

TEST(Simulator, OneSeedIsOneHistory) {
  for (const uint64_t seed : {11u, 12u, 13u}) {
    std::string first;
    for (int round = 0; round < 2; ++round) {
      Options options = Calm(seed, 3);
      Transcript transcript(100'000);
      World world(options, MakeCore, transcript);
      world.StartMembers();
      world.RunFor(Seconds(4));
      world.KillPod(0, true, Millis(100));
      world.RunFor(Seconds(2));
      std::string all;
      for (const std::string& line : transcript.lines()) all += line + "\n";
      if (round == 0) first = all;
      EXPECT_EQ(all, first);
    }
    EXPECT_FALSE(first.empty());
  }
}

}  // namespace
}  // namespace hive::sim
