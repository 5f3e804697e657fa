// Goal: every difference between what a redis is and what it should be has one command that mends it, and a redis that
// stopped being a master is never promoted by reconciling.

#include "coordinator/replication/reconcile.h"

#include <gtest/gtest.h>

namespace hive::replication {
namespace {

const Endpoint kLeader{"10.0.0.1", 6379};

RedisStatus Master() {
  RedisStatus status;
  status.is_master = true;
  return status;
}
RedisStatus ReplicaOf(const Endpoint& master) {
  RedisStatus status;
  status.master = master;
  return status;
}

TEST(Reconcile, UndecidedTouchesOnlyAnEmptyMaster) {
  const Goal goal{Goal::Kind::kUndecided, {}};
  EXPECT_EQ(Reconcile(goal, Master(), true), std::nullopt);
  EXPECT_EQ(Reconcile(goal, Master(), false)->kind, RedisCommand::Kind::kPark);
  EXPECT_EQ(Reconcile(goal, ReplicaOf(kLeader), false), std::nullopt);
}

TEST(Reconcile, ReplicaIsPointedAtItsLeader) {
  const Goal goal{Goal::Kind::kReplica, kLeader};
  EXPECT_EQ(Reconcile(goal, Master(), true), (RedisCommand{RedisCommand::Kind::kReplicate, kLeader}));
  EXPECT_EQ(Reconcile(goal, ReplicaOf(kNobody), true), (RedisCommand{RedisCommand::Kind::kReplicate, kLeader}));
  EXPECT_EQ(Reconcile(goal, ReplicaOf(kLeader), true), std::nullopt);
}

TEST(Reconcile, ParkedIsParkedOnce) {
  const Goal goal{Goal::Kind::kParked, {}};
  EXPECT_EQ(Reconcile(goal, Master(), true)->kind, RedisCommand::Kind::kPark);
  EXPECT_EQ(Reconcile(goal, ReplicaOf(kNobody), true), std::nullopt);
}

TEST(Reconcile, ALeadersReplicaIsNeverPromotedAgain) {
  EXPECT_EQ(Reconcile({Goal::Kind::kMaster, {}}, ReplicaOf(kLeader), true), std::nullopt);
}

TEST(Reconcile, LoadingAndBusyAreLeftAlone) {
  RedisStatus loading = Master(), busy = Master();
  loading.loading = true;
  busy.busy = true;
  EXPECT_EQ(Reconcile({Goal::Kind::kReplica, kLeader}, loading, true), std::nullopt);
  EXPECT_EQ(Reconcile({Goal::Kind::kReplica, kLeader}, busy, true), std::nullopt);
}

TEST(InSyncWith, NeedsTheLinkAndNoFullSync) {
  RedisStatus status = ReplicaOf(kLeader);
  EXPECT_FALSE(InSyncWith(status, kLeader));
  status.link_up = true;
  EXPECT_TRUE(InSyncWith(status, kLeader));
  status.sync_in_progress = true;
  EXPECT_FALSE(InSyncWith(status, kLeader));
}

TEST(Reconcile, AMasterIsFencedAndUnfencedAsItsLeaderWants) {
  RedisStatus status = Master();
  EXPECT_EQ(Reconcile({Goal::Kind::kMaster, {}, true}, status, true)->kind, RedisCommand::Kind::kFence);
  status.fenced = true;
  EXPECT_EQ(Reconcile({Goal::Kind::kMaster, {}, true}, status, true), std::nullopt);
  EXPECT_EQ(Reconcile({Goal::Kind::kMaster, {}, false}, status, true)->kind, RedisCommand::Kind::kUnfence);
  // The fence of a leader that crashed: taken down by whoever promotes it, and by nobody before.
  EXPECT_EQ(Reconcile({Goal::Kind::kUndecided, {}, false}, status, true), std::nullopt);
}

TEST(Reconcile, AMasterWithDataTakesNoMoreBeforeItReplicates) {
  RedisStatus status = Master();
  const Goal goal{Goal::Kind::kReplica, kLeader, true};
  EXPECT_EQ(Reconcile(goal, status, true)->kind, RedisCommand::Kind::kFence);
  EXPECT_EQ(Reconcile(goal, status, false)->kind, RedisCommand::Kind::kReplicate);
  status.fenced = true;
  EXPECT_EQ(Reconcile(goal, status, true)->kind, RedisCommand::Kind::kReplicate);
}

}  // namespace
}  // namespace hive::replication
