// Goal: clients live through what leaders do as those of the real proxy do. Method: scripted brains publish a leader;
// its redis is real (that is, modelled).
#include <gtest/gtest.h>

#include "tests/sim/world_fixture.h"

namespace hive::sim {
namespace {

using namespace election;  // NOLINT: the whole file speaks of its messages

TEST_F(LedTest, WriteWhileOpenAndWaitWhileHeldOrFenced) {
  Publish(WriteState::kOpen, Seconds(1));
  const uint64_t before = Acknowledged();
  EXPECT_GT(before, 5u);
  for (const WriteState state : {WriteState::kHold, WriteState::kFenced, WriteState::kNoLeader}) {
    Publish(state, Millis(200));  // what was under way
    const uint64_t now = Acknowledged();
    Publish(state, Seconds(1));
    EXPECT_EQ(Acknowledged(), now) << Name(state);
  }
  Publish(WriteState::kOpen, Seconds(1));
  EXPECT_GT(Acknowledged(), before + 5);
  EXPECT_EQ(world_.clients().counts().closed, 0u);
}

TEST_F(LedTest, NothingIsAcknowledgedDuringAPauseAndNothingIsLost) {
  Publish(WriteState::kOpen, Millis(500));
  Say(kB, Tell(RedisCommand::Kind::kPause, Millis(800)));
  const uint64_t before = Acknowledged();
  Publish(WriteState::kOpen, Millis(600));
  EXPECT_LE(Acknowledged(), before + 1);
  Publish(WriteState::kOpen, Seconds(1));
  EXPECT_GT(Acknowledged(), before + 2);
  EXPECT_EQ(world_.clients().counts().closed, 0u);
}

TEST_F(LedTest, AFenceIsAnErrorToWhomeverWasUnderWay) {
  Publish(WriteState::kOpen, Millis(500));
  Say(kB, Tell(RedisCommand::Kind::kFence));
  const uint64_t before = Acknowledged();
  Publish(WriteState::kOpen, Millis(500));
  EXPECT_LE(Acknowledged(), before + 1);
  EXPECT_GT(world_.clients().counts().refused, 0u);
}

class WriteAcksTest : public LedTest {
 protected:
  WriteAcksTest() : LedTest(WithAcks()) {}
  static Options WithAcks() {
    Options options = Calm();
    options.write_acks = 1;
    return options;
  }
};

TEST_F(WriteAcksTest, AWriteIsAcknowledgedOnlyOnceAReplicaHasIt) {
  uint64_t before = Acknowledged();
  Publish(WriteState::kOpen, Seconds(1));
  EXPECT_GT(Acknowledged(), before + 5);
  world_.SetCut(1, 0, 2, Cut::kSilent);  // the leader's writes reach nobody
  Publish(WriteState::kOpen, Millis(100));
  before = Acknowledged();
  Publish(WriteState::kOpen, Seconds(3));
  EXPECT_EQ(Acknowledged(), before);
  EXPECT_GT(world_.clients().counts().unconfirmed, 0u);
}

}  // namespace
}  // namespace hive::sim
