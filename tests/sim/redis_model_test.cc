// Goal: the redis model does what redis 7.0.15 was measured to do. Method: two to four modelled redises, no
// coordinators.
#include "tests/sim/redis_model.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
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
    for (int k = 0; k < count; ++k) redises_.Write(ids_[i], redises_.NewWrite(), [](Written) {});
  }
  // What a client hears of a write; nothing while it waits.
  std::shared_ptr<std::optional<Written>> Ask(int i) {
    auto heard = std::make_shared<std::optional<Written>>();
    redises_.Write(ids_[i], redises_.NewWrite(), [heard](Written written) { *heard = written; });
    return heard;
  }
  void Tell(int i, RedisCommand::Kind kind, Duration limit = Duration{0}) {
    ASSERT_EQ(redises_.Execute(ids_[i], {kind, {}, limit}), "");
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
  EXPECT_EQ(**Ask(0), Written::kReadOnly);
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

TEST_F(RedisModelTest, APromotionClosesTheLinksOfItsReplicasAtOnce) {
  Promote(0);
  Replicate(1, 0);
  Run(Seconds(2));
  Park(0);
  Promote(0);
  Write(0, 3);  // on a new history, before the replica has noticed
  Run(std::chrono::microseconds(150));
  EXPECT_EQ(Keys(1), 0u);
  const int before = redises_.full_syncs();
  Run(Seconds(2));
  EXPECT_EQ(Keys(1), 3u);
  EXPECT_EQ(redises_.full_syncs(), before) << "it continues where the histories part";
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

// ------------------------------------------------------------------------------------------------ pause and fence

TEST_F(RedisModelTest, APauseHoldsWritesAndEndsByItself) {
  Promote(0);
  Tell(0, RedisCommand::Kind::kPause, Millis(100));
  const auto heard = Ask(0);
  Run(Millis(90));
  EXPECT_FALSE(heard->has_value());
  Run(Millis(20));
  EXPECT_EQ(**heard, Written::kDone);
  EXPECT_EQ(Keys(0), 1u);
}

TEST_F(RedisModelTest, AnUnpauseReleasesAndASecondPauseOnlyProlongs) {
  Promote(0);
  Tell(0, RedisCommand::Kind::kPause, Seconds(5));
  Tell(0, RedisCommand::Kind::kPause, Millis(10));
  const auto heard = Ask(0);
  Run(Seconds(1));
  EXPECT_FALSE(heard->has_value());
  Tell(0, RedisCommand::Kind::kUnpause);
  EXPECT_EQ(**heard, Written::kDone);
}

TEST_F(RedisModelTest, WhatAPauseHeldIsRefusedOnceItIsParked) {
  Promote(0);
  Tell(0, RedisCommand::Kind::kPause, Seconds(5));
  const auto held = Ask(0);
  Park(0);
  EXPECT_EQ(**Ask(0), Written::kReadOnly) << "the role is looked at before the pause";
  EXPECT_FALSE(held->has_value());
  Tell(0, RedisCommand::Kind::kUnpause);
  EXPECT_EQ(**held, Written::kReadOnly);
  EXPECT_EQ(Keys(0), 0u);
}

TEST_F(RedisModelTest, AHeldWriteWhoseClientHasGoneIsNotExecuted) {
  Promote(0);
  Tell(0, RedisCommand::Kind::kPause, Millis(100));
  const WriteId write = redises_.NewWrite();
  redises_.Write(ids_[0], write, [](Written) { FAIL(); });
  redises_.Forget(ids_[0], write);
  Run(Seconds(1));
  EXPECT_EQ(Keys(0), 0u);
}

TEST_F(RedisModelTest, APausedReplicaHoldsBackItsMastersWrites) {
  Promote(0);
  Replicate(1, 0);
  Run(Seconds(2));
  Tell(1, RedisCommand::Kind::kPause, Seconds(3));
  Write(0, 4);
  Run(Seconds(2));
  EXPECT_EQ(Keys(1), 0u);
  Run(Seconds(2));
  EXPECT_EQ(Keys(1), 4u);
}

TEST_F(RedisModelTest, AFenceRefusesEvenWhilePausedAndAPromotionLiftsIt) {
  Promote(0);
  Tell(0, RedisCommand::Kind::kPause, Seconds(5));
  Tell(0, RedisCommand::Kind::kFence);
  EXPECT_EQ(**Ask(0), Written::kFenced);
  EXPECT_TRUE(redises_.Status(ids_[0]).fenced);
  Park(0);
  Promote(0);
  EXPECT_FALSE(redises_.Status(ids_[0]).fenced);
}

TEST_F(RedisModelTest, ARenamedCommandIsRefused) {
  options_.refuses_client = 1;
  options_.refuses_config = 2;
  EXPECT_NE(redises_.Execute(ids_[0], {RedisCommand::Kind::kPause, {}, Seconds(1)}), "");
  EXPECT_EQ(redises_.Execute(ids_[0], {RedisCommand::Kind::kFence, {}}), "");
  EXPECT_EQ(redises_.Execute(ids_[1], {RedisCommand::Kind::kPause, {}, Seconds(1)}), "");
  EXPECT_NE(redises_.Execute(ids_[1], {RedisCommand::Kind::kFence, {}}), "");
}

TEST_F(RedisModelTest, HoldersAreReplicasThatAreConnectedAndHaveTheWrite) {
  Promote(0);
  Replicate(1, 0);
  Replicate(2, 0);
  Run(Seconds(2));
  const WriteId write = redises_.NewWrite();
  redises_.Write(ids_[0], write, [](Written) {});
  EXPECT_EQ(redises_.Holders(ids_[0], write), 0);
  Run(Seconds(1));
  EXPECT_EQ(redises_.Holders(ids_[0], write), 2);
  Park(2);
  EXPECT_EQ(redises_.Holders(ids_[0], write), 1);
}

}  // namespace
}  // namespace hive::sim
