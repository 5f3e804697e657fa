// Goal: "empty" means never promoted, never synced and nothing loaded, and belongs to one run of redis.
// Method: reports as INFO would give them.

#include "coordinator/election/local_redis.h"

#include <gtest/gtest.h>

namespace hive::election {
namespace {

RedisStatus Parked(const std::string& run) {
  RedisStatus status;
  status.run_id = run;
  status.master = replication::kNobody;
  status.replication_id = "id";
  return status;
}

TEST(LocalRedis, BornParkedIsEmpty) {
  LocalRedis redis;
  EXPECT_FALSE(redis.known());
  EXPECT_FALSE(redis.OnReport(Parked("r1"), {}));
  EXPECT_TRUE(redis.up());
  EXPECT_TRUE(redis.standing({}).empty);
  EXPECT_TRUE(redis.standing({}).available);
}

TEST(LocalRedis, ACompletedSyncIsDataEvenWithoutKeys) {
  LocalRedis redis;
  RedisStatus status = Parked("r1");
  status.master = {"10.0.0.1", 6379};
  status.sync_in_progress = true;
  redis.OnReport(status, {});
  EXPECT_FALSE(redis.holds_data());
  status.sync_in_progress = false;
  status.link_up = true;
  redis.OnReport(status, {});
  EXPECT_TRUE(redis.holds_data());
}

TEST(LocalRedis, AnotherRunForgetsWhatTheOldOneHeld) {
  LocalRedis redis;
  RedisStatus status = Parked("r1");
  status.keys = 5;
  redis.OnReport(status, {});
  EXPECT_TRUE(redis.holds_data());
  EXPECT_TRUE(redis.OnReport(Parked("r2"), {}));
  EXPECT_FALSE(redis.holds_data());
}

TEST(LocalRedis, PromotionIsData) {
  LocalRedis redis;
  redis.OnReport(Parked("r1"), {});
  redis.MarkPromoted();
  EXPECT_FALSE(redis.standing({}).empty);
}

TEST(LocalRedis, MemoryCountsForTheSameRunOnly) {
  const Memory memory{"r1", true, 3, {}, {}};
  LocalRedis same, other;
  same.OnReport(Parked("r1"), memory);
  other.OnReport(Parked("r2"), memory);
  EXPECT_TRUE(same.holds_data());
  EXPECT_FALSE(other.holds_data());
}

TEST(LocalRedis, LoadingMayBeDataAndIsNotAvailable) {
  LocalRedis redis;
  RedisStatus status = Parked("r1");
  status.loading = true;
  redis.OnReport(status, {});
  EXPECT_FALSE(redis.standing({}).empty);
  EXPECT_FALSE(redis.standing({}).available);
}

TEST(LocalRedis, BusyKeepsWhatIsKnown) {
  LocalRedis redis;
  RedisStatus status = Parked("r1");
  status.keys = 5;
  redis.OnReport(status, {});
  RedisStatus busy = Parked("r1");
  busy.busy = true;
  EXPECT_FALSE(redis.OnReport(busy, {}));
  EXPECT_EQ(redis.status().keys, 5);
  EXPECT_FALSE(redis.standing({}).available);
}

TEST(LocalRedis, LostIsUnavailableButNotForgotten) {
  LocalRedis redis;
  RedisStatus status = Parked("r1");
  status.keys = 5;
  redis.OnReport(status, {});
  redis.OnLost();
  EXPECT_FALSE(redis.up());
  EXPECT_FALSE(redis.standing({}).available);
  EXPECT_FALSE(redis.standing({}).empty);
}

}  // namespace
}  // namespace hive::election
