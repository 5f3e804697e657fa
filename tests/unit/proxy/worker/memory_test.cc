// Goal: memory is bounded, and who pays for it is who takes it. Method: shares of clients that come and go.
#include "proxy/worker/memory.h"

#include <gtest/gtest.h>

#include <vector>

namespace hive::proxy {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;

TEST(MemoryBounds, WhatIsNotTakenLeavesRoomForWhatWaitsForALeader) {
  MemoryBounds memory(16 * kMiB);
  memory.Account({}, {.buffered = 100 * kMiB});
  EXPECT_TRUE(memory.overfull());
  EXPECT_TRUE(memory.may_hold());
}

TEST(MemoryBounds, WhatWaitsForALeaderDoesNotCrowdOthers) {
  MemoryBounds memory(16 * kMiB);
  memory.Account({}, {.held = 16 * kMiB - 1});
  EXPECT_TRUE(memory.may_hold());
  memory.Account({.held = 16 * kMiB - 1}, {.held = 16 * kMiB});
  EXPECT_FALSE(memory.may_hold());
  EXPECT_FALSE(memory.crowded());
  memory.Account({.held = 16 * kMiB}, {.buffered = 1 * kMiB});  // a leader has come
  EXPECT_TRUE(memory.may_hold());
  EXPECT_EQ(memory.buffered(), kMiB);
}

TEST(MemoryBounds, ThereIsRoomBetweenCrowdedAndOverfull) {
  MemoryBounds memory(16 * kMiB);
  memory.Account({}, {.buffered = 12 * kMiB - 1});
  EXPECT_FALSE(memory.crowded());
  memory.Account({.buffered = 0}, {.buffered = 1});
  EXPECT_TRUE(memory.crowded());
  EXPECT_FALSE(memory.overfull());
  EXPECT_EQ(memory.comfortable(), 12 * kMiB);
}

TEST(MemoryBounds, ASmallHoldMemoryLeavesRoomForAReply) {
  MemoryBounds memory(64 * 1024);
  memory.Account({}, {.held = 64 * 1024, .buffered = kMiB});
  EXPECT_FALSE(memory.may_hold());
  EXPECT_FALSE(memory.crowded());
}

TEST(SortByDebt, TheMostForTheLongest) {
  std::vector<Debtor> debtors = {{.index = 0, .bytes = 100, .since = Millis(0)},
                                 {.index = 1, .bytes = 200'000, .since = Seconds(10)},
                                 {.index = 2, .bytes = 1'000'000, .since = Millis(1)},
                                 {.index = 3, .bytes = 200'000, .since = Seconds(11)},
                                 {.index = 4, .bytes = 20'000, .since = Seconds(20)}};
  SortByDebt(debtors);
  std::vector<size_t> order;
  for (const Debtor& debtor : debtors) order.push_back(debtor.index);
  EXPECT_EQ(order, (std::vector<size_t>{3, 1, 4, 2, 0}));
}

}  // namespace
}  // namespace hive::proxy
