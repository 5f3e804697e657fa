// Goal: the schedules of docs/election.md in which it is not clear who has been cut off: one side takes writes, and
// what replicas have confirmed stays. Method: the real core in the simulated world, with every rule of the judge.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "tests/sim/schedule.h"
#include "tests/sim/world.h"

namespace hive::sim {
namespace {

void Doubtful(int members, const Script& script, const std::function<void(Options&)>& change = {}) {
  Play(members, script, [&change](Options& options) {
    options.write_interval = Millis(20);
    if (change) change(options);
  });
}

Fault PartitionOf(uint32_t mask, Cut cut) {
  Fault fault;
  fault.kind = FaultKind::kPartition;
  fault.mask = mask;
  fault.reset = cut == Cut::kReset;
  fault.lasts = Seconds(3600);
  return fault;
}

// The masters among `mask` have taken writes since `before`.
std::vector<size_t> AllWrites(const World& world) {
  std::vector<size_t> writes;
  for (int slot = 0; slot < kMaxMembers; ++slot) writes.push_back(Writes(world, slot));
  return writes;
}

bool Grew(const World& world, uint32_t mask, const std::vector<size_t>& before) {
  for (int slot = 0; slot < kMaxMembers; ++slot) {
    if ((mask >> slot & 1u) != 0 && Writes(world, slot) > before[static_cast<size_t>(slot)]) return true;
  }
  return false;
}

constexpr uint32_t kEverybody = (1u << kMaxMembers) - 1;

TEST(Doubt, ALeaderInTheMinorityStopsBeforeTheMajorityBegins) {
  for (const Cut cut : {Cut::kSilent, Cut::kReset}) {
    for (const int members : {3, 5, 6}) {
      Doubtful(members, [cut](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        const int old = world.Leader();
        const uint32_t minority = 1u << old;
        world.Inject(PartitionOf(minority, cut));
        EXPECT_TRUE(world.RunFor(Millis(700)));
        const std::vector<size_t> then = AllWrites(world);
        EXPECT_TRUE(world.RunFor(Millis(1200)));
        EXPECT_FALSE(Grew(world, minority, then));
        EXPECT_TRUE(Grew(world, kEverybody & ~minority, then)) << "1.9 s after the cut";
        EXPECT_TRUE(world.RunFor(Seconds(3)));
        world.Heal();
        EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
      });
    }
  }
}

TEST(Doubt, AFollowerInTheMinorityDoesNotLead) {
  for (const Cut cut : {Cut::kSilent, Cut::kReset}) {
    Doubtful(3, [cut](World& world) {
      ASSERT_NO_FATAL_FAILURE(Begin(world));
      const int leader = world.Leader();
      const int before = world.redises().promotions();
      world.Inject(PartitionOf(1u << Followers(world)[0], cut));
      EXPECT_TRUE(world.RunFor(Seconds(15)));
      EXPECT_EQ(world.Leader(), leader);
      EXPECT_EQ(world.redises().promotions(), before);
      world.Heal();
      EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
      EXPECT_EQ(Missing(world), 0u);
    });
  }
}

TEST(Doubt, EvenSplitOfFourLeavesTheLeaderItsWrites) {
  for (const Cut cut : {Cut::kSilent, Cut::kReset}) {
    Doubtful(4, [cut](World& world) {
      ASSERT_NO_FATAL_FAILURE(Begin(world));
      const int leader = world.Leader();
      const uint32_t half = 1u << leader | 1u << Followers(world)[0];
      world.Inject(PartitionOf(half, cut));
      EXPECT_TRUE(world.RunFor(Seconds(2)));
      const std::vector<size_t> then = AllWrites(world);
      EXPECT_TRUE(world.RunFor(Seconds(6)));
      EXPECT_EQ(world.Leader(), leader);
      EXPECT_TRUE(Grew(world, half, then));
      EXPECT_FALSE(Grew(world, kEverybody & ~half, then));
      world.Heal();
      EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
      EXPECT_EQ(Missing(world), 0u);
    });
  }
}

TEST(Doubt, DoubtCancelled) {
  // One real crash, then a partition: whoever was lost before still counts, so that not both halves of the rest feel
  // numerous enough.
  for (const bool unlisted : {false, true}) {
    Doubtful(
        5,
        [](World& world) {
          ASSERT_NO_FATAL_FAILURE(Begin(world));
          const std::vector<int> others = Followers(world);
          world.KillPod(others[0], false, std::nullopt);
          EXPECT_TRUE(world.RunFor(Seconds(4)));
          const uint32_t half = 1u << world.Leader() | 1u << others[1];
          world.Inject(PartitionOf(half, Cut::kSilent));
          EXPECT_TRUE(world.RunFor(Seconds(1)));
          const std::vector<size_t> then = AllWrites(world);
          EXPECT_TRUE(world.RunFor(Seconds(6)));
          EXPECT_FALSE(Grew(world, half, then) && Grew(world, kEverybody & ~half, then));
          world.Heal();
          EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
        },
        [unlisted](Options& options) { options.dead_ip_lingers = unlisted ? Millis(0) : Seconds(600); });
  }
}

TEST(Doubt, DoubtIsOverInTime) {
  // No quorum is needed: when three of five are gone for good and DNS still lists them, the rest goes on.
  Doubtful(
      5,
      [](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        const std::vector<int> others = Followers(world);
        const std::set<WriteId> safe = Held(world, others[3]);
        world.KillPod(world.Leader(), false, std::nullopt);
        for (const int slot : {others[0], others[1]}) world.KillPod(slot, false, std::nullopt);
        EXPECT_TRUE(world.RunFor(Seconds(3)));
        EXPECT_EQ(world.Leader(), kLost);
        EXPECT_TRUE(world.RunFor(Seconds(7)));
        EXPECT_NE(world.Leader(), kLost);
        EXPECT_TRUE(LeaderHolds(world, safe));
      },
      [](Options& options) {
        options.dead_ip_lingers = Seconds(600);
        options.doubt_timeout = Seconds(6);
      });
}

TEST(Doubt, WhoIsToldToLeadWaitsForNobodyWhoIsSilent) {
  // All others are gone, and DNS lists them yet, or does not answer at all; a person does not wait for doubt_timeout.
  for (const bool dns_is_dead : {false, true}) {
    Doubtful(
        5,
        [dns_is_dead](World& world) {
          ASSERT_NO_FATAL_FAILURE(Begin(world));
          const std::vector<int> others = Followers(world);
          const int survivor = others[3];
          const std::set<WriteId> safe = Held(world, survivor);
          if (dns_is_dead) world.dns().Fail(Seconds(600), false);
          world.KillPod(world.Leader(), false, std::nullopt);
          for (const int slot : {others[0], others[1], others[2]}) world.KillPod(slot, false, std::nullopt);
          EXPECT_TRUE(world.RunFor(Seconds(5)));
          ASSERT_EQ(world.Leader(), kLost);
          const size_t writes = Writes(world, survivor);
          world.ForceLead(survivor);
          EXPECT_TRUE(world.RunFor(Seconds(2)));
          EXPECT_EQ(world.Leader(), survivor);
          EXPECT_TRUE(LeaderHolds(world, safe));
          EXPECT_GT(Writes(world, survivor), writes) << "it takes writes";
        },
        [](Options& options) { options.dead_ip_lingers = Seconds(600); });
  }
}

TEST(Doubt, ALeaderThatKeepsItsWritesBackIsToldToTakeThem) {
  Doubtful(
      3,
      [](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        const int leader = world.Leader();
        world.dns().Fail(Seconds(600), false);
        for (const int slot : Followers(world)) world.KillPod(slot, false, std::nullopt);
        EXPECT_TRUE(world.RunFor(Seconds(3)));
        const size_t fenced = Writes(world, leader);
        EXPECT_TRUE(world.RunFor(Seconds(2)));
        ASSERT_EQ(Writes(world, leader), fenced);
        world.ForceLead(leader);
        EXPECT_TRUE(world.RunFor(Seconds(2)));
        EXPECT_GT(Writes(world, leader), fenced);
      },
      [](Options& options) { options.dead_ip_lingers = Seconds(600); });
}

TEST(Doubt, OneOfTwoThatDoubtIsChosenByAPerson) {
  // Both hold as much and stand, and neither elects itself: whoever is told to lead goes before the other, although the
  // other stood first, or comes first in the alphabetical order.
  for (const int chosen : {0, 1}) {
    Doubtful(
        5,
        [chosen](World& world) {
          ASSERT_NO_FATAL_FAILURE(Begin(world));
          const std::vector<int> others = Followers(world);
          world.KillPod(world.Leader(), false, std::nullopt);
          for (const int slot : {others[2], others[3]}) world.KillPod(slot, false, std::nullopt);
          EXPECT_TRUE(world.RunFor(Seconds(5)));
          ASSERT_EQ(world.Leader(), kLost);
          const int slot = others[static_cast<size_t>(chosen)];
          world.ForceLead(slot);
          EXPECT_TRUE(world.RunFor(Seconds(3)));
          EXPECT_EQ(world.Leader(), slot);
        },
        [](Options& options) { options.dead_ip_lingers = Seconds(600); });
  }
}

TEST(Doubt, WhoIsToldToLeadGivesWayToWhoAnswers) {
  // Told while a leader is heard, or in the midst of an ordinary election: nobody's say is taken away.
  for (const int64_t after_ms : {0, 300, 1100, 1300, 1500}) {
    Doubtful(3, [after_ms](World& world) {
      ASSERT_NO_FATAL_FAILURE(Begin(world));
      const int old = world.Leader();
      const int told = Followers(world)[1];
      if (after_ms > 0) world.KillPod(old, false, std::nullopt);
      EXPECT_TRUE(world.RunFor(Millis(std::max<int64_t>(after_ms, 1))));
      world.ForceLead(told);
      EXPECT_TRUE(world.RunFor(Seconds(2)));
      EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
      if (after_ms == 0) {
        EXPECT_EQ(world.Leader(), old);
      }
    });
  }
}

TEST(Doubt, TwoMembersNeverDoubt) {
  Doubtful(2, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int other = Followers(world)[0];
    world.KillPod(world.Leader(), false, std::nullopt);
    EXPECT_TRUE(world.RunFor(Seconds(3)));
    EXPECT_EQ(world.Leader(), other);
  });
}

TEST(Doubt, AllFollowersAreLostAndDnsIsSilent) {
  Doubtful(2, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int leader = world.Leader();
    world.dns().Fail(Seconds(6), false);
    world.CutBoth(0, 1, 3, Cut::kSilent);
    EXPECT_TRUE(world.RunFor(Millis(2500)));
    const size_t writes = Writes(world, leader);
    EXPECT_TRUE(world.RunFor(Seconds(3)));
    EXPECT_EQ(Writes(world, leader), writes) << "it is the one cut off";
  });
}

TEST(Doubt, TooFewFollowersFence) {
  Doubtful(
      3,
      [](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        const std::vector<int> others = Followers(world);
        for (const int slot : others) world.KillPod(slot, true, Seconds(5));
        EXPECT_TRUE(world.RunFor(Seconds(2)));
        const int leader = world.Leader();
        const size_t writes = Writes(world, leader);
        EXPECT_TRUE(world.RunFor(Seconds(2)));
        EXPECT_EQ(Writes(world, leader), writes);
        EXPECT_TRUE(world.RunFor(Seconds(6)));
        EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
        EXPECT_GT(Writes(world, world.Leader()), writes);
      },
      [](Options& options) { options.min_followers = 1; });
}

// ----------------------------------------------------------------------------------------------- confirmed writes

TEST(Confirmed, DeposedButAcknowledged) {
  // A paused leader wakes; replicas that have not been re-pointed would still confirm its writes.
  for (const int64_t asleep_ms : {1002, 1010, 1050, 1150, 1300, 1800}) {
    Play(
        3,
        [asleep_ms](World& world) {
          ASSERT_NO_FATAL_FAILURE(Begin(world));
          world.StallPod(world.Leader(), Millis(asleep_ms));
          EXPECT_TRUE(world.RunFor(Millis(asleep_ms + 500)));
          EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
          EXPECT_TRUE(world.RunFor(Seconds(1)));
          EXPECT_EQ(Missing(world), 0u);
        },
        [](Options& options) {
          options.write_acks = 1;
          options.write_interval = Millis(10);
        });
  }
}

TEST(Confirmed, Surge) {
  // Three replicas and a surge pod: with two confirmations a write is on three of four, and any half has it.
  Play(
      3,
      [](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        world.StartPod(3);
        EXPECT_TRUE(world.RunFor(Seconds(3)));
        world.Partition(1u << world.Leader() | 1u << 3, Cut::kSilent, false);
        EXPECT_TRUE(world.RunFor(Seconds(5)));
        world.Heal();
        EXPECT_TRUE(world.RunFor(Seconds(2)));
        EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
        EXPECT_TRUE(world.RunFor(Seconds(1)));
        EXPECT_EQ(Missing(world), 0u);
      },
      [](Options& options) {
        options.write_acks = 2;
        options.write_interval = Millis(10);
      });
}

TEST(Confirmed, ThreeLeaders) {
  // All apart for so long that each leads; their pairwise order may cycle when they meet at the same moment.
  Play(
      3,
      [](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        for (const int slot : {0, 1, 2}) world.Partition(1u << slot, Cut::kSilent, false);
        EXPECT_TRUE(world.RunFor(Seconds(9)));
        for (const int slot : {0, 1, 2}) EXPECT_TRUE(LeadsAmong(world, {slot}));
        world.Heal();
        EXPECT_TRUE(world.RunFor(Millis(500)));
        EXPECT_TRUE(world.RunUntilConverged(Seconds(6)));
      },
      [](Options& options) { options.doubt_timeout = Seconds(4); });
}

// --------------------------------------------------------------------------------------------- another hive's IP

TEST(AnotherHive, TheIpOfADeadLeaderIsUsedAgain) {
  Play(
      3,
      [](World& world) {
        ASSERT_NO_FATAL_FAILURE(Begin(world));
        const std::set<WriteId> safe = Held(world, Followers(world)[0]);
        world.LoseIp(world.Leader());
        EXPECT_TRUE(world.RunFor(Seconds(10)));
        EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
        EXPECT_TRUE(LeaderHolds(world, safe));
      },
      [](Options& options) { options.dead_ip_lingers = Seconds(30); });
}

// Its coordinator begins anew while it is cut off from the leader, whom others hear: nobody was lost, and yet nobody
// feeds it. The address that its redis would dial may be another hive's before it is back.
TEST(AnotherHive, ARestartedFollowerParksARedisThatNobodyFeeds) {
  Play(3, [](World& world) {
    ASSERT_NO_FATAL_FAILURE(Begin(world));
    const int leader = world.Leader();
    const int cut_off = Followers(world)[0];
    world.CutBoth(leader, cut_off, 3, Cut::kSilent);
    world.KillCoordinator(cut_off, Millis(50));
    EXPECT_TRUE(world.RunFor(Seconds(2)));
    EXPECT_TRUE(world.RedisOf(cut_off)->parked());
    world.HealPair(leader, cut_off);
    EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
  });
}

// Nobody counts any more whom it might hear too few of; it has a successor, though.
TEST(Doubt, ALeaderThatSleptForLongerThanDoubtLastsAsksFirst) {
  const auto change = [](Options& options) { options.doubt_timeout = Seconds(3); };
  for (const int asleep_ms : {3200, 4000, 6000}) {
    Doubtful(
        5,
        [asleep_ms](World& world) {
          ASSERT_NO_FATAL_FAILURE(Begin(world));
          const int old = world.Leader();
          world.StallPod(old, Millis(asleep_ms));
          EXPECT_TRUE(world.RunFor(Millis(asleep_ms + 2000)));
          EXPECT_NE(world.Leader(), old);
          EXPECT_TRUE(world.RunUntilConverged(Seconds(5)));
        },
        change);
  }
}

}  // namespace
}  // namespace hive::sim
