// Goal: leadership moves from a living redis only when the target holds all that the old one held when it could take no
// more; and whatever fails on the way leaves it known whether the old one is paused or parked.
// Method: the answers of two redises, by hand, at instants of the test's own.

#include "coordinator/replication/switch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hive::replication {
namespace {

using Kind = RedisCommand::Kind;
using Side = Switch::Side;
using Stage = Switch::Stage;
using Outcome = SwitchAnswer::Outcome;

const Endpoint kOldMaster{"10.0.0.1", 6379};

class SwitchTest : public testing::Test {
 protected:
  RedisStatus Old(int64_t offset) {
    RedisStatus status;
    status.run_id = "old";
    status.is_master = true;
    status.offset = offset;
    return status;
  }
  RedisStatus Parked(int64_t offset) {
    RedisStatus status = Old(offset);
    status.is_master = false;
    status.master = kNobody;
    return status;
  }
  RedisStatus Target(int64_t offset) {
    RedisStatus status;
    status.run_id = "target";
    status.master = kOldMaster;
    status.link_up = true;
    status.offset = offset;
    return status;
  }

  // The next command must be this one; it is answered by `status`.
  void Step(Side side, Kind kind, const RedisStatus& status, Outcome outcome = Outcome::kDone) {
    const auto ask = change.Next(now);
    ASSERT_TRUE(ask) << change.failure();
    EXPECT_EQ(ask->side, side);
    EXPECT_EQ(ask->command.kind, kind);
    EXPECT_FALSE(change.Next(now));  // one command at a time
    change.OnAnswer(now, {outcome, outcome == Outcome::kDone ? "" : "ERR no", status});
  }
  void ReadAndPause(int64_t offset) {
    Step(Side::kOld, Kind::kRead, Old(offset));
    Step(Side::kOld, Kind::kPause, Old(offset));
  }

  Instant now{Seconds(100)};
  Switch change{now, Seconds(1)};
};

TEST_F(SwitchTest, PausesCatchesUpParksUnpausesAndConfirms) {
  ReadAndPause(500);
  EXPECT_TRUE(change.paused());
  Step(Side::kTarget, Kind::kRead, Target(400));
  EXPECT_EQ(change.stage(), Stage::kCatchingUp);
  Step(Side::kTarget, Kind::kRead, Target(500));
  Step(Side::kOld, Kind::kPark, Parked(514));  // a ping has been added meanwhile
  EXPECT_TRUE(change.parked());
  Step(Side::kOld, Kind::kUnpause, Parked(514));
  EXPECT_FALSE(change.paused());
  Step(Side::kTarget, Kind::kRead, Target(500));  // its last bytes are still under way
  EXPECT_EQ(change.stage(), Stage::kConfirming);
  Step(Side::kTarget, Kind::kRead, Target(514));
  EXPECT_EQ(change.stage(), Stage::kDone);
  EXPECT_EQ(change.offset(), 514);
  EXPECT_FALSE(change.Next(now));
}

TEST_F(SwitchTest, APauseThatIsRefusedIsDoneWithout) {
  Step(Side::kOld, Kind::kRead, Old(500));
  Step(Side::kOld, Kind::kPause, {}, Outcome::kRefused);
  EXPECT_FALSE(change.paused());
  Step(Side::kTarget, Kind::kRead, Target(500));
  Step(Side::kOld, Kind::kPark, Parked(700));  // writes went on until here
  Step(Side::kTarget, Kind::kRead, Target(700));
  EXPECT_EQ(change.stage(), Stage::kDone);
}

TEST_F(SwitchTest, ATargetThatNeverCatchesUpCostsNoMoreThanTheLimit) {
  ReadAndPause(500);
  for (int polls = 0; polls < 2000 && !change.over(); ++polls) {
    if (change.Next(now)) change.OnAnswer(now, {Outcome::kDone, "", Target(400)});
    now += Millis(1);
  }
  EXPECT_EQ(change.stage(), Stage::kFailed);
  EXPECT_TRUE(change.paused());  // to be undone
  EXPECT_FALSE(change.parked());
  EXPECT_THAT(change.failure(), testing::HasSubstr("1000 ms"));
}

TEST_F(SwitchTest, PollsSlowDown) {
  ReadAndPause(500);
  int polls = 0;
  const Instant end = now + Millis(500);
  for (; now < end; now += std::chrono::microseconds(100)) {
    if (!change.Next(now)) continue;
    ++polls;
    change.OnAnswer(now, {Outcome::kDone, "", Target(400)});
  }
  EXPECT_LE(polls, kQuickPolls + Millis(500) / kPollInterval + 1);
}

TEST_F(SwitchTest, NothingIsPromotedBehindAParkThatIsNotKnown) {
  ReadAndPause(500);
  Step(Side::kTarget, Kind::kRead, Target(500));
  Step(Side::kOld, Kind::kPark, {}, Outcome::kUnknown);
  EXPECT_EQ(change.stage(), Stage::kFailed);
  EXPECT_TRUE(change.parked());  // it may take effect yet: whoever leads on promotes again
}

TEST_F(SwitchTest, ParkingThatDidNotParkFails) {
  ReadAndPause(500);
  Step(Side::kTarget, Kind::kRead, Target(500));
  Step(Side::kOld, Kind::kPark, Old(500));
  EXPECT_EQ(change.stage(), Stage::kFailed);
}

TEST_F(SwitchTest, ATargetWithMoreThanTheParkedOneIsNoReplicaOfIt) {
  ReadAndPause(500);
  Step(Side::kTarget, Kind::kRead, Target(500));
  Step(Side::kOld, Kind::kPark, Parked(500));
  Step(Side::kOld, Kind::kUnpause, Parked(500));
  Step(Side::kTarget, Kind::kRead, Target(501));
  EXPECT_EQ(change.stage(), Stage::kFailed);
}

TEST_F(SwitchTest, AnotherRunOfEitherRedisFails) {
  Step(Side::kOld, Kind::kRead, Old(500));
  RedisStatus restarted = Old(0);
  restarted.run_id = "another";
  Step(Side::kOld, Kind::kPause, restarted);
  EXPECT_EQ(change.stage(), Stage::kFailed);

  change = Switch(now, Seconds(1));
  ReadAndPause(500);
  Step(Side::kTarget, Kind::kRead, Target(400));
  restarted = Target(500);
  restarted.run_id = "another";
  Step(Side::kTarget, Kind::kRead, restarted);
  EXPECT_EQ(change.stage(), Stage::kFailed);
}

TEST_F(SwitchTest, AReplicaIsNoOldMaster) {
  Step(Side::kOld, Kind::kRead, Target(500));
  EXPECT_EQ(change.stage(), Stage::kFailed);
}

TEST_F(SwitchTest, ATargetWhoseLinkIsDownFailsBeforeAnythingIsParked) {
  ReadAndPause(500);
  RedisStatus cut = Target(500);
  cut.link_up = false;
  Step(Side::kTarget, Kind::kRead, cut);
  EXPECT_EQ(change.stage(), Stage::kFailed);
  EXPECT_FALSE(change.parked());
}

}  // namespace
}  // namespace hive::replication
