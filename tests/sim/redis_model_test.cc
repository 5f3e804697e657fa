// Goal: the redis model does what redis 7.0.15 was measured to do. Method: two to four modelled redises, no
// coordinators.
#include "tests/sim/redis_model.h"

#include <gtest/gtest.h>

#include <vector>

namespace hive::sim {
namespace {

using replication::RedisCommand;

class RedisModelTest : public ::testing::Test {
 protected:
  RedisModelTest() : network_(options_, pods_, queue_, random_) {
    for (int slot = 0; slot < 4; ++slot) {
      const PodId pod = pods_.Add(slot, "10.0.0." + std::to_string(slot + 1), 0).id;
      ids_.push_back(redises_.Start(pod));
    }
  }

  void Run(Duration span) {
    const SimTime until = queue_.now() + span;
    while (queue_.RunNext(until)) {
    }
  }
  void Promote(int i) { redises_.Execute(ids_[i], {RedisCommand::Kind::kPromote, {}}); }
  void Park(int i) { redises_.Execute(ids_[i], {RedisCommand::Kind::kPark, {}}); }
  void Replicate(int i, int master) {
    redises_.Execute(ids_[i], {RedisCommand::Kind::kReplicate, pods_[redises_.at(ids_[master]).pod].redis_endpoint()});
  }
  void Write(int i, int count = 1) {
    for (int k = 0; k < count; ++k) redises_.Write(ids_[i], redises_.NewWrite());
  }
  void Restart(int i) {
    const PodId pod = redises_.at(ids_[i]).pod;
    redises_.Kill(ids_[i], false);
    ids_[i] = redises_.Start(pod);
  }
  const Redis& At(int i) const { return redises_.at(ids_[i]); }
  size_t Keys(int i) const { return At(i).content.log.size(); }

  Options options_;
  Random random_{7};
  Transcript transcript_;
  EventQueue queue_;
  Pods pods_;
  Network network_;
  Redises redises_{options_, pods_, network_, queue_, random_, transcript_};
  std::vector<RedisId> ids_;
};

TEST_F(RedisModelTest, BornParkedTakesNoWritesAndFeedsNobody) {
  EXPECT_TRUE(redises_.Status(ids_[0]).parked());
  EXPECT_FALSE(redises_.Write(ids_[0], redises_.NewWrite()));
  Replicate(1, 0);
  Run(Seconds(5));
  EXPECT_FALSE(redises_.Status(ids_[1]).link_up);
  EXPECT_EQ(redises_.full_syncs(), 0);
}

TEST_F(RedisModelTest, OffsetsCountFromTheFirstReplicaOnAndTheIdChangesThen) {
  Promote(0);
  Write(0, 3);
  const auto before = redises_.Status(ids_[0]);
  EXPECT_EQ(before.offset, 0);
  EXPECT_EQ(before.keys, 3);
  Replicate(1, 0);
  Run(Seconds(2));
  Write(0, 2);
  Run(Seconds(1));
  EXPECT_NE(redises_.Status(ids_[0]).replication_id, before.replication_id);
  EXPECT_EQ(redises_.Status(ids_[0]).offset, 2 * kWriteBytes);
  EXPECT_EQ(redises_.Status(ids_[1]).offset, 2 * kWriteBytes);
  EXPECT_EQ(Keys(1), 5u);
}

TEST_F(RedisModelTest, AFullResyncReplacesEverything) {
  Promote(0);
  Write(0, 3);
  Promote(1);
  Write(1, 50);
  Replicate(1, 0);
  Run(Seconds(2));
  EXPECT_EQ(Keys(1), 3u);
  EXPECT_EQ(At(1).content.root, At(0).content.root);
}

TEST_F(RedisModelTest, SiblingsOfThePromotedContinue) {
  Promote(0);
  Replicate(1, 0);
  Replicate(2, 0);
  Run(Seconds(2));
  Write(0, 4);
  Run(Seconds(1));
  redises_.Kill(ids_[0], false);
  Promote(1);
  Replicate(2, 1);
  Run(Seconds(2));
  EXPECT_EQ(redises_.partial_syncs(), 1);
  EXPECT_EQ(redises_.Status(ids_[2]).replication_id, redises_.Status(ids_[1]).replication_id);
  Write(1);
  Run(Seconds(1));
  EXPECT_EQ(Keys(2), 5u);
}

TEST_F(RedisModelTest, ADivergedOldMasterResyncsFully) {
  Promote(0);
  Replicate(1, 0);
  Run(Seconds(2));
  network_.SetCut(0, 1, 3, Cut::kSilent);
  network_.SetCut(1, 0, 3, Cut::kSilent);
  Write(0, 5);  // never reaches its replica
  Promote(1);
  Write(1, 2);
  network_.Heal();
  const int before = redises_.full_syncs();
  Replicate(0, 1);
  Run(Seconds(2));
  EXPECT_EQ(redises_.full_syncs(), before + 1);
  EXPECT_EQ(Keys(0), 2u);
}

TEST_F(RedisModelTest, ALaggingReplicaAdoptsTheNewIdBeforeTheBytes) {
  Promote(0);
  Replicate(1, 0);
  Replicate(2, 0);
  Run(Seconds(2));
  network_.SetCut(0, 2, 3, Cut::kSilent);
  Write(0, 5);
  Run(Millis(100));
  redises_.Kill(ids_[0], false);
  Promote(1);
  redises_.SetLag(Seconds(30));
  Replicate(2, 1);
  Run(Millis(20));
  EXPECT_EQ(redises_.Status(ids_[2]).replication_id, redises_.Status(ids_[1]).replication_id);
  EXPECT_EQ(Keys(1), 5u);
  EXPECT_EQ(Keys(2), 0u);
}

TEST_F(RedisModelTest, ARestartedMasterIsParkedAndWipesNobody) {
  Promote(0);
  Replicate(1, 0);
  Run(Seconds(2));
  Write(0, 5);
  Run(Seconds(1));
  Restart(0);
  Run(Seconds(5));
  EXPECT_EQ(Keys(1), 5u);
  EXPECT_FALSE(redises_.Status(ids_[1]).link_up);
  EXPECT_EQ(At(0).content.root, 0u);
}

TEST_F(RedisModelTest, ARestartedMasterThatIsPromotedEmptyWipesItsReplicas) {
  Promote(0);
  Replicate(1, 0);
  Run(Seconds(2));
  Write(0, 5);
  Run(Seconds(1));
  Restart(0);
  Promote(0);
  Run(Seconds(3));
  EXPECT_EQ(Keys(1), 0u);
}

TEST_F(RedisModelTest, AParkedMasterFeedsTheReplicasItHas) {
  Promote(0);
  Replicate(1, 0);
  Run(Seconds(2));
  Write(0, 5);
  Park(0);
  Run(Seconds(1));
  EXPECT_EQ(Keys(1), 5u);
  EXPECT_TRUE(redises_.Status(ids_[1]).link_up);
}

TEST_F(RedisModelTest, AStoppedRedisDoesOnWakingWhatItWasToldWhileStopped) {
  redises_.Stop(ids_[0]);
  redises_.WhenAwake(ids_[0], [this] { Promote(0); });
  Run(Seconds(1));
  EXPECT_FALSE(redises_.Status(ids_[0]).is_master);
  redises_.Resume(ids_[0]);
  EXPECT_TRUE(redises_.Status(ids_[0]).is_master);
}

TEST_F(RedisModelTest, ASmallBacklogForcesAFullResync) {
  options_.backlog_bytes = 300;
  Promote(0);
  Replicate(1, 0);
  Run(Seconds(2));
  Park(1);
  Write(0, 10);
  const int before = redises_.full_syncs();
  Replicate(1, 0);
  Run(Seconds(2));
  EXPECT_EQ(redises_.full_syncs(), before + 1);
  EXPECT_EQ(Keys(1), 10u);
}

}  // namespace
}  // namespace hive::sim
