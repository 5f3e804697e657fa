// Goal: what is done on purpose loses nothing and is noticed by nobody; and a leader whose coordinator alone is lost is
// replaced without a loss. The schedules that docs/election.md names, and the everyday ones. Method: the real core in
// the simulated world, with every rule of the judge.
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <vector>

#include "tests/sim/schedule.h"
#include "tests/sim/world.h"

namespace hive::sim {
namespace {

// A hive of `members` that stands, with every rule; the clients write fast.
void Meant(int members, const Script& script, const std::function<void(Options&)>& change = {}) {
  Play(
      members,
      [&script](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        world.judge().OnBegin();
        script(world);
      },
      [&change](Options& options) {
        options.scenario = Scenario::kPlanned;
        options.write_interval = Millis(10);
        if (change) change(options);
      });
}

void ExpectNothingLost(World& world, Duration within) {
  EXPECT_TRUE(world.RunUntilConverged(within));
  EXPECT_TRUE(world.RunFor(Seconds(1)));
  EXPECT_EQ(Missing(world), 0u);
}

// ------------------------------------------------------------------------------------------------- handover

TEST(Handover, ToTheOneThatWasAskedFor) {
  Meant(3, [](World& world) {
    for (int round = 0; round < 5; ++round) {
      const int target = Followers(world)[round % 2];
      world.AskHandover(round % 3, target);
      EXPECT_TRUE(world.RunFor(Millis(500)));
      EXPECT_EQ(world.Leader(), target);
    }
    ExpectNothingLost(world, Seconds(3));
    EXPECT_EQ(world.judge().client_errors(), 0u);
    EXPECT_EQ(world.judge().handovers(), 5u);
  });
}

TEST(Handover, TheTargetFailsAndTheNextOneIsTaken) {
  Meant(
      3,
      [](World& world) {
        const int old = world.Leader();
        const int target = Followers(world)[0];
        world.AskHandover(old, target);
        world.KillCoordinator(target, Seconds(2));
        EXPECT_TRUE(world.RunFor(Seconds(6)));
        ExpectNothingLost(world, Seconds(4));
      },
      [](Options& options) { options.scenario = Scenario::kMixed; });
}

TEST(Handover, ALaggingTargetIsWaitedFor) {
  Meant(
      2,
      [](World& world) {
        const int target = Followers(world)[0];
        world.AskHandover(world.Leader(), target);
        EXPECT_TRUE(world.RunFor(Seconds(4)));
        EXPECT_EQ(world.Leader(), target);
        ExpectNothingLost(world, Seconds(4));
      },
      [](Options& options) { options.lag_high = Millis(300); });
}

TEST(Handover, NewbornLeaderPunished) {
  // The old leader falls asleep in the middle of its handover, and wakes with two followers in its head when the new
  // leader has none yet.
  for (const int64_t after_ms : {0, 2, 4, 6, 8, 12, 20}) {
    Meant(
        3,
        [after_ms](World& world) {
          const int old = world.Leader();
          world.AskHandover(old, Followers(world)[0]);
          EXPECT_TRUE(world.RunFor(Millis(after_ms)));
          world.StallCoordinator(old, Millis(700));
          EXPECT_TRUE(world.RunFor(Seconds(2)));
          ExpectNothingLost(world, Seconds(4));
        },
        [](Options& options) { options.scenario = Scenario::kMixed; });
  }
}

TEST(Handover, ARedisThatKnowsNoClientCommandHandsOverAsWell) {
  Meant(
      3,
      [](World& world) {
        const int old = world.Leader();
        world.AskHandover(old, std::nullopt);
        EXPECT_TRUE(world.RunFor(Seconds(2)));
        EXPECT_NE(world.Leader(), old);
        ExpectNothingLost(world, Seconds(3));
      },
      [](Options& options) { options.refuses_client = ~0u; });
}

// -------------------------------------------------------------------------------------------------- leaving

TEST(Leaving, SigtermOfTheLeadersPod) {
  for (const int members : {2, 3, 5}) {
    Meant(members, [](World& world) {
      const int old = world.Leader();
      world.Terminate(old, Seconds(1));
      EXPECT_TRUE(world.RunFor(Millis(300)));
      EXPECT_NE(world.Leader(), old);
      EXPECT_NE(world.Leader(), kLost);
      EXPECT_TRUE(world.RunFor(Seconds(3)));
      ExpectNothingLost(world, Seconds(6));
      EXPECT_EQ(world.judge().client_errors(), 0u);
    });
  }
}

TEST(Leaving, SigtermOfAFollowersPodMovesNothing) {
  Meant(3, [](World& world) {
    const int leader = world.Leader();
    world.Terminate(Followers(world)[0], Seconds(1));
    EXPECT_TRUE(world.RunFor(Seconds(4)));
    EXPECT_EQ(world.Leader(), leader);
    ExpectNothingLost(world, Seconds(6));
  });
}

TEST(Leaving, SeveralAtOnce) {
  Meant(5, [](World& world) {
    const int stays = Followers(world)[1];
    for (int slot = 0; slot < 5; ++slot) {
      if (slot != stays) world.Terminate(slot, Seconds(1));
    }
    EXPECT_TRUE(world.RunFor(Millis(800)));
    EXPECT_EQ(world.Leader(), stays);
    EXPECT_TRUE(world.RunFor(Seconds(4)));
    ExpectNothingLost(world, Seconds(8));
  });
}

TEST(Leaving, AskedWhileItTakesOver) {
  // SIGTERM reaches the next leader between the order to promote its redis and the answer: it has nothing to hand over
  // yet, and all of it a moment later.
  Meant(3, [](World& world) {
    const int old = world.Leader();
    const int target = Followers(world)[0];
    world.AskHandover(old, target);
    for (int step = 0; step < 5000 && !world.RedisOf(target)->master; ++step) {
      ASSERT_TRUE(world.RunFor(std::chrono::microseconds(20)));
    }
    ASSERT_TRUE(world.RedisOf(target)->master);
    world.Terminate(target, Millis(100));
    EXPECT_TRUE(world.RunFor(Seconds(3)));
    EXPECT_NE(world.Leader(), kLost);
    ExpectNothingLost(world, Seconds(4));
    EXPECT_EQ(world.judge().client_errors(), 0u);
    EXPECT_EQ(world.judge().handovers(), 2u);
  });
}

TEST(Leaving, RollingReplacement) {
  for (const int members : {2, 3, 5}) {
    Meant(members, [](World& world) {
      world.Roll();
      while (world.rolling() || world.terminating()) ASSERT_TRUE(world.RunFor(Millis(100)));
      ExpectNothingLost(world, Seconds(6));
      EXPECT_EQ(world.judge().client_errors(), 0u);
    });
  }
}

TEST(Leaving, TheOnlyDataIsLeaving) {
  // The successor is new and still empty: whoever has the data waits for its first sync before it goes.
  Meant(
      2,
      [](World& world) {
        world.RemovePod(Followers(world)[0]);
        EXPECT_TRUE(world.RunFor(Seconds(2)));
        const int old = world.Leader();
        world.StartPod(2);
        EXPECT_TRUE(world.RunFor(Millis(400)));
        world.Terminate(old, std::nullopt);
        EXPECT_TRUE(world.RunFor(Seconds(8)));
        EXPECT_EQ(world.Leader(), 2);
        ExpectNothingLost(world, Seconds(4));
      },
      [](Options& options) {
        options.scenario = Scenario::kMixed;
        options.sync_low = Millis(1500);
        options.sync_high = Millis(2000);
      });
}

TEST(Leaving, PriorityZeroLeadsOnlyWhileNobodyElseCan) {
  Meant(
      3,
      [](World& world) {
        EXPECT_TRUE(world.RunFor(Seconds(2)));
        EXPECT_EQ(world.Leader(), 2);
        world.KillPod(2, true, Seconds(5));
        EXPECT_TRUE(world.RunFor(Seconds(3)));
        EXPECT_NE(world.Leader(), kLost) << "better one of priority 0 than nobody";
        EXPECT_TRUE(world.RunFor(Seconds(6)));
        EXPECT_TRUE(world.RunUntilConverged(Seconds(4)));
        EXPECT_EQ(world.Leader(), 2);
      },
      [](Options& options) {
        options.scenario = Scenario::kMixed;
        options.priority0 = 3;
      });
}

// ------------------------------------------------------------------------------------------------- takeover

TEST(Takeover, OnlyTheCoordinatorIsLost) {
  for (const int members : {2, 3, 5}) {
    Meant(
        members,
        [](World& world) {
          const int old = world.Leader();
          world.KillCoordinator(old, Seconds(3));
          EXPECT_TRUE(world.RunFor(Seconds(1)));
          EXPECT_NE(world.Leader(), old);
          EXPECT_NE(world.Leader(), kLost);
          EXPECT_FALSE(world.RedisOf(old)->master);
          EXPECT_EQ(Missing(world), 0u);
          EXPECT_TRUE(world.RunFor(Seconds(3)));
          ExpectNothingLost(world, Seconds(4));
        },
        [](Options& options) { options.scenario = Scenario::kMixed; });
  }
}

TEST(Takeover, TakeoversGhost) {
  // The old master is stopped at some moment of the takeover; what was sent to it takes effect when it wakes, long
  // after another was promoted.
  for (int64_t after_us = 20'000; after_us <= 90'000; after_us += 7'000) {
    Meant(
        3,
        [after_us](World& world) {
          const int old = world.Leader();
          const std::set<WriteId> safe = Held(world, Followers(world)[0]);
          world.KillCoordinator(old, Seconds(2));
          EXPECT_TRUE(world.RunFor(std::chrono::microseconds(after_us)));
          world.StopRedis(old, Seconds(4));
          EXPECT_TRUE(world.RunFor(Seconds(8)));
          EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
          EXPECT_TRUE(LeaderHolds(world, safe));
        },
        [](Options& options) { options.scenario = Scenario::kMixed; });
  }
}

TEST(Takeover, PromotionAfterThePause) {
  // The winner's own redis is so slow that the pause at the old one has run out before the promotion.
  Meant(
      3,
      [](World& world) {
        const int old = world.Leader();
        for (const int slot : Followers(world)) {
          world.redises().Slow(world.RedisOf(slot)->id, Millis(400), Seconds(3));
        }
        world.KillCoordinator(old, Seconds(6));
        EXPECT_TRUE(world.RunFor(Seconds(5)));
        EXPECT_NE(world.Leader(), kLost);
        EXPECT_EQ(Missing(world), 0u);
      },
      [](Options& options) { options.scenario = Scenario::kMixed; });
}

TEST(Takeover, SlowPromotionLeftOut) {
  // A takeover as long as the election window: whoever stands meanwhile must not leave its winner out.
  Meant(
      4,
      [](World& world) {
        const int old = world.Leader();
        const std::vector<int> others = Followers(world);
        const int before = world.redises().promotions();
        world.redises().Slow(world.RedisOf(old)->id, Millis(250), Seconds(3));
        for (const int slot : others) world.redises().Slow(world.RedisOf(slot)->id, Millis(150), Seconds(3));
        world.SetCut(old, others[2], 1, Cut::kSilent);  // it will hear of the loss by others only
        world.KillCoordinator(old, std::nullopt);
        EXPECT_TRUE(world.RunFor(Seconds(4)));
        world.HealPair(old, others[2]);
        EXPECT_NE(world.Leader(), kLost);
        EXPECT_LE(world.redises().promotions(), before + 2) << "two leaders fight it out";
      },
      [](Options& options) { options.scenario = Scenario::kMixed; });
}

TEST(Takeover, TheFenceOutlivesItsOwner) {
  // A fenced leader's coordinator crashes: its redis must take writes again once it is promoted anew.
  Meant(
      3,
      [](World& world) {
        const int old = world.Leader();
        world.Partition(1u << old, Cut::kSilent, false);
        EXPECT_TRUE(world.RunFor(Seconds(2)));
        EXPECT_TRUE(world.RedisOf(old)->fenced);
        world.KillCoordinator(old, Millis(100));
        EXPECT_TRUE(world.RunFor(Millis(300)));
        world.Partition(1u << old, Cut::kNone, false);
        EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
        for (const int slot : Followers(world)) {
          if (slot != old) world.RemovePod(slot);
        }
        world.KillPod(world.Leader(), true, std::nullopt);
        EXPECT_TRUE(world.RunFor(Seconds(3)));
        EXPECT_EQ(world.Leader(), old);
        const size_t writes = Writes(world, old);
        EXPECT_TRUE(world.RunFor(Seconds(1)));
        EXPECT_GT(Writes(world, old), writes + 10) << "it is still fenced";
      },
      [](Options& options) { options.scenario = Scenario::kMixed; });
}

}  // namespace
}  // namespace hive::sim
