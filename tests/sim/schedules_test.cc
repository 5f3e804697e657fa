// Goal: the schedules that the rules of docs/election.md exist for, each by name: a hive that runs loses something.
// Method: the real core in the simulated world; the judge watches all of them, so a test says only what is special
// about it.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "tests/sim/schedule.h"
#include "tests/sim/world.h"

namespace hive::sim {
namespace {

// --------------------------------------------------------------------------------------------------- at rest

// How old the last word of the leader is just before the next one decides how much a late beat may cost.
TEST(AtRest, AClaimIsHardlyOlderThanABeatAndALeaseHardlyShorter) {
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const Duration beat = world.options().beat_interval + Millis(20);  // and what messages take
    for (int look = 0; look < 200; ++look) {
      ASSERT_TRUE(world.RunFor(Millis(17)));
      for (int slot = 0; slot < 3; ++slot) {
        const Coordinator* c = world.CoordinatorOf(slot);
        ASSERT_LE(c->Local(world.now()) - c->view.heard, beat);
        const Duration left = world.proxies().snapshot(c->pod).lease_until - Instant(world.now());
        ASSERT_GE(left, world.options().leader_timeout * 7 / 10 - beat);
      }
    }
  });
}

// ---------------------------------------------------------------------------------------------- redis is lost

TEST(RedisLost, ContainerRestartIn50Ms) {
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    for (int round = 0; round < 20; ++round) {
      const int old = world.Leader();
      const std::set<WriteId> safe = Held(world, Followers(world)[0]);
      world.KillRedis(old, Millis(50));
      ASSERT_TRUE(world.RunFor(Millis(60)));
      ASSERT_NE(world.Leader(), old);
      ASSERT_TRUE(world.RunUntilConverged(Seconds(3)));
      ASSERT_TRUE(LeaderHolds(world, safe)) << "round " << round;
    }
  });
}

TEST(RedisLost, EveryoneRestartsEmptyButOne) {
  Play(5, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int survivor = Followers(world)[0];
    const std::set<WriteId> safe = Held(world, survivor);
    for (int slot = 0; slot < 5; ++slot) {
      if (slot != survivor) world.KillRedis(slot, Millis(50 + slot * 10));
    }
    world.RunFor(Millis(200));
    EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
    EXPECT_TRUE(LeaderHolds(world, safe));
  });
}

TEST(RedisLost, TheSurvivorIsBusyWhileTheOthersAreBackEmpty) {
  Play(2, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int follower = Followers(world)[0];
    const std::set<WriteId> safe = Held(world, follower);
    world.redises().Busy(world.RedisOf(follower)->id, Seconds(3));
    world.KillRedis(world.Leader(), Millis(300));
    world.RunFor(Seconds(4));
    EXPECT_TRUE(world.RunUntilConverged(Seconds(4)));
    EXPECT_TRUE(LeaderHolds(world, safe));
  });
}

TEST(RedisLost, AStoppedRedisGivesWayAfterRedisTimeout) {
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int old = world.Leader();
    world.StopRedis(old, Seconds(8));
    EXPECT_TRUE(world.RunFor(Seconds(3)));
    EXPECT_NE(world.Leader(), old);
    EXPECT_NE(world.Leader(), kLost);
    world.RunFor(Seconds(6));
    EXPECT_TRUE(world.RunUntilConverged(Seconds(4)));
  });
}

// ---------------------------------------------------------------------------------------- the leader is lost

TEST(LeaderLost, ProofRace) {
  // A dies; B sees the reset and asks C before C has seen it; C holds more than B.
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int a = world.Leader();
    const int b = Followers(world)[0];
    const int c = Followers(world)[1];
    world.SetCut(a, b, 2, Cut::kSilent);  // B's redis falls behind
    ASSERT_TRUE(world.RunFor(Millis(300)));
    world.SetCut(a, c, 1, Cut::kSilent);  // C will see no reset
    ASSERT_TRUE(world.RunFor(Millis(50)));
    const std::set<WriteId> safe = Held(world, c);
    world.KillPod(a, true, Seconds(2));
    EXPECT_TRUE(world.RunFor(Millis(1900)));
    EXPECT_EQ(world.Leader(), c);
    world.HealPair(a, b);
    world.HealPair(a, c);
    EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
    EXPECT_TRUE(LeaderHolds(world, safe));
  });
}

TEST(LeaderLost, OneSynLost) {
  // A reset and one lost packet do not depose a leader that lives.
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int leader = world.Leader();
    const int follower = Followers(world)[0];
    world.CutBoth(leader, follower, 1, Cut::kReset);
    world.RunFor(Millis(6));
    world.CutBoth(leader, follower, 1, Cut::kSilent);
    world.RunFor(Millis(12));
    world.HealPair(leader, follower);
    EXPECT_TRUE(world.RunFor(Seconds(4)));
    EXPECT_EQ(world.Leader(), leader);
    EXPECT_EQ(world.redises().promotions(), 1);
    EXPECT_FALSE(world.judge().NotConverged());
  });
}

TEST(LeaderLost, CoordinatorKilledItsRedisLives) {
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int old = world.Leader();
    const std::set<WriteId> safe = Held(world, Followers(world)[0]);
    world.KillCoordinator(old, std::nullopt);
    EXPECT_TRUE(world.RunFor(Seconds(2)));
    EXPECT_NE(world.Leader(), kLost);
    EXPECT_FALSE(world.RedisOf(old)->master) << "an orphan is told whom to replicate";
    EXPECT_TRUE(LeaderHolds(world, safe));
    world.StartCoordinator(old);
    EXPECT_TRUE(world.RunUntilConverged(Seconds(4)));
  });
}

TEST(LeaderLost, ItsCoordinatorIsKilledRightAfterTheFirstSync) {
  // The followers' last reading is from before it, and says that no link is up.
  Play(3, [](World& world) {
    world.StartMembers();
    const auto fed = [&world] {
      if (world.Leader() == kLost) return false;
      for (const int follower : Followers(world)) {
        if (world.RedisOf(follower)->link != Redis::Link::kUp) return false;
      }
      return true;
    };
    for (int step = 0; step < 8000 && !fed(); ++step) ASSERT_TRUE(world.RunFor(Millis(1)));
    ASSERT_TRUE(fed());
    const int old = world.Leader();
    world.KillCoordinator(old, std::nullopt);
    EXPECT_TRUE(world.RunFor(Seconds(2)));
    EXPECT_NE(world.Leader(), kLost);
    EXPECT_FALSE(world.RedisOf(old)->master) << "an orphan is told whom to replicate";
  });
}

TEST(LeaderLost, ItsCoordinatorIsBackAtOnce) {
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const std::set<WriteId> safe = Held(world, Followers(world)[0]);
    world.KillCoordinator(world.Leader(), Millis(15));
    world.RunFor(Millis(100));
    EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
    EXPECT_TRUE(LeaderHolds(world, safe));
  });
}

TEST(LeaderLost, PodReplacedByAnEmptyOne) {
  for (const bool same_ip : {false, true}) {
    for (const bool closes : {false, true}) {
      Play(
          3,
          [same_ip, closes](World& world) {
            ASSERT_NO_FATAL_FAILURE(Begin(world));
            const std::set<WriteId> safe = Held(world, Followers(world)[0]);
            world.KillPod(world.Leader(), closes, Millis(700), same_ip);
            EXPECT_TRUE(world.RunFor(Seconds(4)));
            EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
            EXPECT_TRUE(LeaderHolds(world, safe));
          },
          [](Options& options) { options.dead_ip_lingers = Seconds(60); });
    }
  }
}

TEST(LeaderLost, DnsListsItsDeadIpForMinutes) {
  Play(
      3,
      [](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        const int old = world.Leader();
        world.KillPod(old, false, std::nullopt);
        EXPECT_TRUE(world.RunFor(Seconds(4)));
        EXPECT_NE(world.Leader(), kLost);
        EXPECT_TRUE(world.RunFor(Seconds(20)));
        EXPECT_EQ(world.redises().promotions(), 2);
      },
      [](Options& options) { options.dead_ip_lingers = Seconds(600); });
}

TEST(LeaderLost, OfTwoOneGoesOn) {
  Play(2, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int other = Followers(world)[0];
    world.KillPod(world.Leader(), true, std::nullopt);
    EXPECT_TRUE(world.RunFor(Seconds(2)));
    EXPECT_EQ(world.Leader(), other);
  });
}

TEST(LeaderLost, TwoWinnersShareAMember) {
  Play(4, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const std::vector<int> others = Followers(world);
    world.CutBoth(others[0], others[1], 3, Cut::kSilent);  // both hear only the third
    world.KillPod(world.Leader(), true, std::nullopt);
    world.RunFor(Seconds(5));
    world.HealPair(others[0], others[1]);
    EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
  });
}

TEST(LeaderLost, LaggingAdopter) {
  // C lags behind B and D, adopts B's new replication id at +CONTINUE, and must not look newer than D.
  Play(4, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int c = Followers(world)[2];
    world.SetCut(world.Leader(), c, 2, Cut::kSilent);
    ASSERT_TRUE(world.RunFor(Millis(400)));
    world.KillPod(world.Leader(), true, std::nullopt);
    ASSERT_TRUE(world.RunFor(Millis(100)));
    world.redises().SetLag(Seconds(2));
    world.Partition(0, Cut::kNone, false);
    ASSERT_TRUE(world.RunFor(Millis(60)));
    if (world.Leader() != kLost) world.KillPod(world.Leader(), true, std::nullopt);
    EXPECT_TRUE(world.RunFor(Seconds(4)));
    EXPECT_NE(world.Leader(), kLost);
  });
}

TEST(LeaderLost, EveryonesCoordinatorRestartsWhileRedisLives) {
  for (const bool state_dir : {true, false}) {
    Play(
        3,
        [](World& world) {
          ASSERT_NO_FATAL_FAILURE(Begin(world));
          const std::set<WriteId> safe = Held(world, Followers(world)[0]);
          for (int slot = 0; slot < 3; ++slot) world.KillCoordinator(slot, Millis(80 + slot * 40));
          world.RunFor(Millis(300));
          EXPECT_TRUE(world.RunUntilConverged(Seconds(8)));
          EXPECT_TRUE(LeaderHolds(world, safe));
        },
        [state_dir](Options& options) { options.state_dir = state_dir; });
  }
}

// ----------------------------------------------------------------------------- stalls, partitions, two leaders

TEST(Partition, ParkedThenTheOldLeaderBeats) {
  // The leader's pod sleeps just longer than its followers wait, and wakes among their Prepares.
  for (const int64_t asleep_ms : {1005, 1050, 1100, 1300, 2000}) {
    Play(3, [asleep_ms](World& world) {
      ASSERT_NO_FATAL_FAILURE(Begin(world));
      world.StallPod(world.Leader(), Millis(asleep_ms));
      world.RunFor(Millis(asleep_ms + 100));
      EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
    });
  }
}

TEST(Partition, BufferedBeatsRenewALease) {
  // A follower's coordinator and proxy sleep through the deposition of the leader: what waits in their buffers is old.
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int sleeper = Followers(world)[0];
    world.StallPod(sleeper, Millis(1800));
    world.RunFor(Millis(300));
    world.KillCoordinator(world.Leader(), std::nullopt);
    world.RunFor(Seconds(3));
    EXPECT_FALSE(world.judge().objects());
  });
}

TEST(Partition, OneFollowerThatHearsNothingDeposesNobody) {
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int leader = world.Leader();
    world.SetCut(leader, Followers(world)[0], 1, Cut::kSilent);  // one way
    EXPECT_TRUE(world.RunFor(Seconds(6)));
    EXPECT_EQ(world.Leader(), leader);
    EXPECT_EQ(world.redises().promotions(), 1);
    world.HealPair(leader, Followers(world)[0]);
    EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
  });
}

TEST(Partition, EvenSplitOfFour) {
  for (const Cut cut : {Cut::kSilent, Cut::kReset}) {
    Play(4, [cut](World& world) {
      ASSERT_NO_FATAL_FAILURE(Begin(world));
      world.Partition(3, cut, false);
      world.RunFor(Seconds(5));
      world.Partition(3, Cut::kNone, false);
      EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
    });
  }
}

TEST(Partition, DemotedByAFalseProof) {
  // A rejecting firewall makes resets and refusals: the minority thinks itself alone. At the heal the majority's data
  // stays.
  Play(5, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int leader = world.Leader();
    const std::vector<int> others = Followers(world);
    const uint32_t minority = 1u << others[0] | 1u << others[1];
    world.Partition(minority, Cut::kReset, false);
    world.RunFor(Seconds(5));
    const std::set<WriteId> safe = Held(world, others[2]);
    world.Partition(minority, Cut::kNone, false);
    EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
    EXPECT_EQ(world.Leader(), leader) << "more followers win";
    EXPECT_TRUE(LeaderHolds(world, safe));
  });
}

TEST(Partition, NewbornMajority) {
  // Two of three restart empty on the far side of a partition, wait in vain, begin a new dataset, and outnumber the
  // old.
  Play(
      3,
      [](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        ASSERT_TRUE(world.RunFor(Seconds(4)));
        const int old = world.Leader();
        const std::set<WriteId> safe = Held(world, old);
        const std::vector<int> others = Followers(world);
        world.Partition(1u << old, Cut::kSilent, false);
        for (const int other : others) world.KillRedis(other, Millis(50));
        world.RunFor(Seconds(6));
        EXPECT_TRUE(LeadsAmong(world, others)) << "empty_wait has passed";
        world.Partition(1u << old, Cut::kNone, false);
        EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
        EXPECT_EQ(world.Leader(), old);
        EXPECT_TRUE(LeaderHolds(world, safe));
      },
      [](Options& options) { options.empty_wait = Seconds(3); });
}

TEST(Partition, DnsDownForTwentySecondsMovesNothing) {
  for (const bool no_such_name : {false, true}) {
    Play(3, [no_such_name](World& world) {
      ASSERT_NO_FATAL_FAILURE(Begin(world));
      const int leader = world.Leader();
      world.dns().Fail(Seconds(20), no_such_name);
      EXPECT_TRUE(world.RunFor(Seconds(24)));
      EXPECT_EQ(world.Leader(), leader);
      EXPECT_EQ(world.redises().promotions(), 1);
    });
  }
}

}  // namespace
}  // namespace hive::sim
