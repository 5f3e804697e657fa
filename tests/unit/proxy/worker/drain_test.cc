// Goal: a proxy that ends gives everyone the time that there is, and no more. Method: times and counts in, stages out.
#include "proxy/worker/drain.h"

#include <gtest/gtest.h>

namespace hive::proxy {
namespace {

Instant At(double seconds) { return Instant(Millis(1000000 + static_cast<int64_t>(seconds * 1000))); }

TEST(DrainTest, PassesThroughItsStages) {
  Drain drain(At(0), Seconds(25));
  EXPECT_EQ(drain.At(At(0), 3, 9), DrainStage::kServing);
  EXPECT_EQ(drain.At(At(19.9), 3, 9), DrainStage::kServing);
  EXPECT_EQ(drain.NextStageAt(At(19.9)), At(20));
  EXPECT_EQ(drain.At(At(20), 3, 9), DrainStage::kBehindReplies);
  EXPECT_EQ(drain.At(At(23.9), 3, 9), DrainStage::kBehindReplies);
  EXPECT_EQ(drain.NextStageAt(At(23.9)), At(24));
  EXPECT_EQ(drain.At(At(24), 3, 9), DrainStage::kEveryone);
  EXPECT_EQ(drain.At(At(24.9), 3, 9), DrainStage::kEveryone);
  EXPECT_EQ(drain.NextStageAt(At(24.9)), At(25));
  EXPECT_EQ(drain.At(At(25), 3, 9), DrainStage::kOver);
}

TEST(DrainTest, AShortTimeIsDividedAlike) {
  Drain drain(At(0), Seconds(1));
  EXPECT_EQ(drain.At(At(0.79), 1, 1), DrainStage::kServing);
  EXPECT_EQ(drain.At(At(0.8), 1, 1), DrainStage::kBehindReplies);
  EXPECT_EQ(drain.At(At(0.96), 1, 1), DrainStage::kEveryone);
  EXPECT_EQ(drain.At(At(1), 1, 1), DrainStage::kOver);
}

TEST(DrainTest, NoTimeAtAllIsOver) {
  Drain drain(At(0), Seconds(0));
  EXPECT_EQ(drain.At(At(0), 1, 1), DrainStage::kOver);
}

TEST(DrainTest, EndsEarlyOnceNobodyComesAnyMore) {
  Drain drain(At(0), Seconds(25));
  // Clients that connect for one command at a time may never be seen: what counts is that new ones come.
  uint64_t accepted = 100;
  for (double t = 0; t < 5; t += 0.5) EXPECT_EQ(drain.At(At(t), 0, accepted++), DrainStage::kServing);
  EXPECT_EQ(drain.At(At(5.4), 0, accepted - 1), DrainStage::kServing);
  EXPECT_EQ(drain.At(At(5.5), 0, accepted - 1), DrainStage::kOver);
}

TEST(DrainTest, WaitsForTheLastClientOnly) {
  Drain drain(At(0), Seconds(25));
  EXPECT_EQ(drain.At(At(10), 1, 1), DrainStage::kServing);
  EXPECT_EQ(drain.At(At(10.9), 0, 1), DrainStage::kServing);
  EXPECT_EQ(drain.At(At(11), 0, 1), DrainStage::kOver);
  Drain late(At(0), Seconds(25));
  EXPECT_EQ(late.At(At(24), 1, 1), DrainStage::kEveryone);
  EXPECT_EQ(late.At(At(24.1), 0, 1), DrainStage::kOver);  // nobody is accepted any more
}

}  // namespace
}  // namespace hive::proxy
