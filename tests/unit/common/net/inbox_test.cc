// Goal: nothing is lost, reordered or taken in beyond the capacity, and the reader wakes when it should. Method: one
// thread for the rules, several for the promise about threads (run under ThreadSanitizer).
#include "common/net/inbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "common/net/clock.h"

namespace hive {
namespace {

TEST(InboxTest, GivesAllThatWaitsInOrder) {
  Inbox<std::unique_ptr<int>> inbox(10);
  ASSERT_TRUE(inbox.Push(std::make_unique<int>(1)));
  ASSERT_TRUE(inbox.Push(std::make_unique<int>(2)));
  std::vector<std::unique_ptr<int>> out;
  ASSERT_TRUE(inbox.WaitUntil(Instant::max(), out));
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(*out[0], 1);
  EXPECT_EQ(*out[1], 2);
}

TEST(InboxTest, ADeadlineEndsTheWait) {
  Inbox<int> inbox(10);
  std::vector<int> out = {7};
  EXPECT_TRUE(inbox.WaitUntil(Instant(), out));  // long past
  EXPECT_TRUE(out.empty());
  const Instant deadline = ReadMonotonicClock() + Millis(5);
  EXPECT_TRUE(inbox.WaitUntil(deadline, out));
  EXPECT_GE(ReadMonotonicClock(), deadline);
}

TEST(InboxTest, WhatNeedNotWakeWaitsForWhatDoes) {
  Inbox<int> inbox(10);
  std::vector<int> out;
  ASSERT_TRUE(inbox.Push(1, Inbox<int>::Urgency::kWaits));
  std::thread reader([&] { EXPECT_TRUE(inbox.WaitUntil(Instant::max(), out)); });
  ASSERT_TRUE(inbox.Push(2));
  reader.join();
  EXPECT_EQ(out, (std::vector<int>{1, 2}));

  ASSERT_TRUE(inbox.Push(3, Inbox<int>::Urgency::kWaits));
  const Instant deadline = ReadMonotonicClock() + Millis(20);
  EXPECT_TRUE(inbox.WaitUntil(deadline, out));
  EXPECT_GE(ReadMonotonicClock(), deadline);
  EXPECT_EQ(out, std::vector<int>{3});
}

TEST(InboxTest, RefusesBeyondItsCapacity) {
  Inbox<int> inbox(2);
  EXPECT_TRUE(inbox.Push(1));
  EXPECT_TRUE(inbox.Push(2));
  EXPECT_FALSE(inbox.Push(3));
  std::vector<int> out;
  inbox.WaitUntil(Instant(), out);
  EXPECT_EQ(out, (std::vector<int>{1, 2}));
  EXPECT_TRUE(inbox.Push(4));
}

TEST(InboxTest, AClosedInboxIsDrainedThenSaysSo) {
  Inbox<int> inbox(10);
  ASSERT_TRUE(inbox.Push(1));
  inbox.Close();
  EXPECT_FALSE(inbox.Push(2));
  std::vector<int> out;
  EXPECT_TRUE(inbox.WaitUntil(Instant::max(), out));
  EXPECT_EQ(out, (std::vector<int>{1}));
  EXPECT_FALSE(inbox.WaitUntil(Instant::max(), out));
}

TEST(InboxTest, CloseWakesTheReader) {
  Inbox<int> inbox(10);
  std::thread closer([&] { inbox.Close(); });
  std::vector<int> out;
  EXPECT_FALSE(inbox.WaitUntil(Instant::max(), out));
  closer.join();
}

TEST(InboxTest, ManyPushersLoseNothing) {
  constexpr int kThreads = 4, kItems = 5000;
  Inbox<std::pair<int, int>> inbox(kThreads * kItems);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kItems; ++i) EXPECT_TRUE(inbox.Push({t, i}));
    });
  }
  std::vector<int> next(kThreads, 0);
  std::vector<std::pair<int, int>> out;
  for (int total = 0; total < kThreads * kItems; total += static_cast<int>(out.size())) {
    ASSERT_TRUE(inbox.WaitUntil(Instant::max(), out));
    for (const auto& [thread, item] : out) EXPECT_EQ(item, next[thread]++);
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace hive
