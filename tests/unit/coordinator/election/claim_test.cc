// Goal: the two orders that decide who leads are total and follow the rule.
// Method: pairs that differ in one thing, and a random search for cycles among claims.

#include "coordinator/election/claim.h"

#include <gtest/gtest.h>

#include "common/base/random.h"

namespace hive::election {
namespace {

Claim MakeClaim(Term term, WallMicros started, const std::string& ip) {
  return {term, started, {ip, 7}, {ip, 7400}, {ip, 6379}};
}

TEST(Beats, HigherTermThenEarlierStartThenFirstAddress) {
  EXPECT_TRUE(Beats(MakeClaim(2, 9, "10.0.0.9"), MakeClaim(1, 1, "10.0.0.1")));
  EXPECT_TRUE(Beats(MakeClaim(2, 1, "10.0.0.9"), MakeClaim(2, 9, "10.0.0.1")));
  EXPECT_TRUE(Beats(MakeClaim(2, 1, "10.0.0.1"), MakeClaim(2, 1, "10.0.0.2")));
}

TEST(Beats, ComparesAddressesAsText) { EXPECT_TRUE(Beats(MakeClaim(1, 1, "10.0.0.10"), MakeClaim(1, 1, "10.0.0.9"))); }

TEST(Beats, IsATotalOrder) {
  Random random(1);
  const auto draw = [&] {
    Claim claim = MakeClaim(random.Below(3), random.Between(0, 2), "10.0.0." + std::to_string(random.Below(3)));
    claim.leader.incarnation = random.Below(2);
    return claim;
  };
  for (int i = 0; i < 20000; ++i) {
    const Claim a = draw(), b = draw(), c = draw();
    EXPECT_FALSE(Beats(a, b) && Beats(b, a));
    EXPECT_TRUE(!Beats(a, b) || !Beats(b, c) || Beats(a, c));
    EXPECT_TRUE(a == b || Beats(a, b) || Beats(b, a));
  }
}

LeaderKey MakeKey(uint64_t origin, Duration age, const Claim& claim) {
  return {claim, {origin, age}, true, Seconds(9), {}, 0};
}

TEST(Better, KeysBeforeNoneAndTheOlderDatasetBetweenDifferentOrigins) {
  const LeaderKey old_one = MakeKey(1, Seconds(100), MakeClaim(1, 9, "10.0.0.9"));
  LeaderKey newborn = MakeKey(2, Seconds(5), MakeClaim(8, 1, "10.0.0.1"));
  newborn.followers = {{"10.0.0.3", 1}, {"10.0.0.4", 1}};  // a majority of followers does not outvote age
  EXPECT_TRUE(Better(old_one, newborn));
  EXPECT_FALSE(Better(newborn, old_one));

  LeaderKey without_keys = old_one;
  without_keys.has_keys = false;
  EXPECT_TRUE(Better(newborn, without_keys));
}

TEST(Better, WithinADatasetMoreExclusiveFollowers) {
  LeaderKey a = MakeKey(1, Seconds(1), MakeClaim(5, 9, "10.0.0.9"));
  LeaderKey b = MakeKey(1, Seconds(9), MakeClaim(6, 1, "10.0.0.1"));
  a.followers = {{"10.0.0.2", 1}, {"10.0.0.3", 1}};
  b.followers = {{"10.0.0.4", 1}};
  EXPECT_TRUE(Better(a, b));
}

TEST(Better, AMemberCountedByBothBelongsToTheHigherTerm) {
  LeaderKey a = MakeKey(1, Seconds(1), MakeClaim(5, 1, "10.0.0.1"));
  LeaderKey b = MakeKey(1, Seconds(1), MakeClaim(6, 9, "10.0.0.9"));
  a.followers = b.followers = {{"10.0.0.2", 1}};
  EXPECT_TRUE(Better(b, a));
  EXPECT_FALSE(Better(a, b));
}

TEST(Better, ThenTheEarlierStartThenTheFirstAddress) {
  EXPECT_TRUE(
      Better(MakeKey(1, Seconds(1), MakeClaim(5, 1, "10.0.0.9")), MakeKey(1, Seconds(1), MakeClaim(6, 2, "10.0.0.1"))));
  EXPECT_TRUE(
      Better(MakeKey(1, Seconds(1), MakeClaim(5, 1, "10.0.0.1")), MakeKey(1, Seconds(1), MakeClaim(6, 1, "10.0.0.2"))));
}

TEST(Better, DecidesEveryPairOneWay) {
  Random random(2);
  const auto draw = [&](const std::string& ip) {
    LeaderKey key = MakeKey(random.Below(2) + 1, Seconds(random.Between(0, 1)),
                            MakeClaim(random.Below(2), random.Between(0, 1), ip));
    key.has_keys = random.Percent(50);
    for (int i = 3; i < 6; ++i) {
      if (random.Percent(50)) key.followers.push_back({"10.0.0." + std::to_string(i), 1});
    }
    return key;
  };
  for (int i = 0; i < 20000; ++i) {
    const LeaderKey a = draw("10.0.0.1"), b = draw("10.0.0.2");
    EXPECT_NE(Better(a, b), Better(b, a));
  }
}

TEST(Better, OfOneDatasetWithEquallyManyFollowersTheOneThatTookMore) {
  LeaderKey sleeper = MakeKey(1, Seconds(9), MakeClaim(5, 1, "10.0.0.1"));  // the earlier start
  LeaderKey successor = MakeKey(1, Seconds(9), MakeClaim(6, 9, "10.0.0.9"));
  sleeper.offset = 100;
  successor.offset = 300;
  EXPECT_TRUE(Better(successor, sleeper));
  EXPECT_FALSE(Better(sleeper, successor));
  sleeper.followers = {{"10.0.0.3", 1}};  // followers come first
  EXPECT_TRUE(Better(sleeper, successor));
}

}  // namespace
}  // namespace hive::election
