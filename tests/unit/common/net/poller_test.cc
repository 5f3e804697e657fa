// Goal: the loop calls whom it should, in the documented order, and nobody who is gone. Method: eventfds that the test
// makes ready, a turn at a time; threads only where the promise is about threads.
#include "common/net/poller.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/base/random.h"
#include "common/net/clock.h"

namespace hive {
namespace {

// An eventfd with a handler that notes what it is told.
class Bell final : public Poller::Handler {
 public:
  Bell() : fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  void Ring() const { eventfd_write(fd.get(), 1); }
  void OnReady(uint32_t ready) override {
    ++calls;
    last = ready;
    if (then) then();
  }

  Fd fd;
  int calls = 0;
  uint32_t last = 0;
  std::function<void()> then;
};

TEST(PollerTest, ReadinessIsLevelTriggered) {
  Poller poller;
  Bell bell;
  ASSERT_TRUE(poller.Add(bell.fd, Poller::kReadable, &bell));
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(bell.calls, 0);
  bell.Ring();
  poller.RunOnce(Duration::zero());
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(bell.calls, 2);
  EXPECT_EQ(bell.last, Poller::kReadable);
  poller.Remove(bell.fd, &bell);
}

TEST(PollerTest, InterestCanBePausedAndResumed) {
  Poller poller;
  Bell bell;
  bell.Ring();
  ASSERT_TRUE(poller.Add(bell.fd, 0, &bell));
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(bell.calls, 0);
  poller.Modify(bell.fd, Poller::kReadable | Poller::kWritable, &bell);
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(bell.last, Poller::kReadable | Poller::kWritable);
  poller.Remove(bell.fd, &bell);
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(bell.calls, 1);
}

TEST(PollerTest, ABrokenConnectionIsToldWithoutInterest) {
  Poller poller;
  Bell bell;
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Fd near(pair[0]), far(pair[1]);
  ASSERT_TRUE(poller.Add(near, 0, &bell));
  far.Close();
  poller.RunOnce(Duration::zero());
  EXPECT_NE(bell.last & Poller::kBroken, 0U);
  poller.Remove(near, &bell);
}

TEST(PollerTest, AHandlerRemovedInTheSameTurnIsNotCalled) {
  // Each of three ready handlers removes and destroys the other two: whoever is called first is the only one.
  Poller poller;
  std::array<std::unique_ptr<Bell>, 3> bells;
  int calls = 0;
  for (auto& bell : bells) {
    bell = std::make_unique<Bell>();
    bell->Ring();
    ASSERT_TRUE(poller.Add(bell->fd, Poller::kReadable, bell.get()));
    bell->then = [&, self = bell.get()] {
      ++calls;
      for (auto& other : bells) {
        if (other == nullptr || other.get() == self) continue;
        poller.Remove(other->fd, other.get());
        other = nullptr;
      }
    };
  }
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(calls, 1);
  for (auto& bell : bells) {
    if (bell != nullptr) poller.Remove(bell->fd, bell.get());
  }
}

TEST(PollerTest, AHandlerMayDestroyItself) {
  Poller poller;
  auto bell = std::make_unique<Bell>();
  bell->Ring();
  ASSERT_TRUE(poller.Add(bell->fd, Poller::kReadable, bell.get()));
  bell->then = [&] {
    poller.Remove(bell->fd, bell.get());
    const std::function<void()> keep_this_closure = std::move(bell->then);
    bell = nullptr;
  };
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(bell, nullptr);
}

TEST(PollerTest, ATurnHasItsOrder) {
  Poller poller;
  std::string order;
  Bell bell;
  bell.then = [&] { order += "handler "; };
  bell.Ring();
  ASSERT_TRUE(poller.Add(bell.fd, Poller::kReadable, &bell));
  Timer timer(poller, [&] { order += "timer "; });
  timer.Start(poller.Now());
  poller.Post([&] { order += "posted "; });
  poller.SetBeforeSleep([&] { order += "sleep "; });
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(order, "handler posted timer sleep ");
  poller.Remove(bell.fd, &bell);
}

TEST(PollerTest, WhatAMessagePostsWaitsForTheNextTurn) {
  Poller poller;
  int runs = 0;
  std::function<void()> again = [&] {
    ++runs;
    poller.Post(again);
  };
  poller.Post(again);
  poller.RunOnce();
  EXPECT_EQ(runs, 1);
  poller.RunOnce();  // does not sleep: a message waits
  EXPECT_EQ(runs, 2);
}

TEST(PollerTest, ThreadsPostInTheirOrder) {
  constexpr int kThreads = 4, kMessages = 2000;
  Poller poller;
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kMessages; ++i) {
        poller.Post([&, t, i] {
          seen[t].push_back(i);
          if (++total == kThreads * kMessages) poller.Stop();
        });
      }
    });
  }
  poller.Run();
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int>& numbers : seen) {
    ASSERT_EQ(numbers.size(), static_cast<size_t>(kMessages));
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  }
}

TEST(PollerTest, StopWakesASleepingLoopAndCountsBeforeRun) {
  Poller poller;
  std::thread stopper([&] { poller.Stop(); });
  poller.Run();
  stopper.join();
  poller.Stop();
  poller.Run();
}

TEST(TimerTest, FiresByDeadlineThenByStartAndNeverEarly) {
  Poller poller;
  std::vector<int> fired;
  const Instant start = poller.Now();
  Timer late(poller, [&] { fired.push_back(3); });
  Timer first(poller, [&] { fired.push_back(1); });
  Timer second(poller, [&] { fired.push_back(2); });
  late.StartIn(Millis(4));
  first.StartIn(Millis(2));
  second.StartIn(Millis(2));
  while (late.running()) {
    poller.RunOnce();
    EXPECT_TRUE(fired.empty() || poller.Now() >= start + Millis(2));
  }
  EXPECT_EQ(fired, (std::vector<int>{1, 2, 3}));
  EXPECT_GE(poller.Now(), start + Millis(4));
}

TEST(TimerTest, StoppedAndDestroyedTimersStaySilent) {
  Poller poller;
  int fired = 0;
  Timer stopped(poller, [&] { ++fired; });
  stopped.Start(poller.Now());
  stopped.Stop();
  EXPECT_FALSE(stopped.running());
  {
    Timer destroyed(poller, [&] { ++fired; });
    destroyed.Start(poller.Now());
  }
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(fired, 0);
}

TEST(TimerTest, ItsCallbackMayRestartOrDestroyIt) {
  Poller poller;
  int ticks = 0;
  std::unique_ptr<Timer> timer;
  // The string makes the closure own memory: were it destroyed while it runs, the sanitizer would tell.
  timer = std::make_unique<Timer>(poller, [&, text = std::string(64, 'x')] {
    if (++ticks < 3) return timer->Start(Instant());  // in the past: the next turn
    timer = nullptr;
    EXPECT_EQ(text.size(), 64U);
  });
  timer->Start(Instant());
  for (int turn = 1; turn <= 3; ++turn) {
    poller.RunOnce(Duration::zero());
    EXPECT_EQ(ticks, turn);
  }
  EXPECT_EQ(timer, nullptr);
}

TEST(TimerTest, ARestartInThePastDoesNotStarveOthers) {
  Poller poller;
  int others = 0;
  Timer greedy(poller, [&] { greedy.Start(Instant()); });
  Timer other(poller, [&] { ++others; });
  greedy.Start(Instant());
  other.Start(poller.Now());
  poller.RunOnce(Duration::zero());
  poller.RunOnce(Duration::zero());
  EXPECT_EQ(others, 1);
}

TEST(TimerTest, TheHeapAgreesWithASortedMap) {
  // Random starts, restarts and stops; then all that runs must fire in the order a multimap has.
  Random random(1);
  for (int round = 0; round < 50; ++round) {
    Poller poller;
    std::vector<int> fired;
    std::vector<std::unique_ptr<Timer>> timers;
    std::map<int, std::pair<Instant, int>> expected;        // timer -> deadline, start order
    const Instant base = ReadMonotonicClock() + Millis(1);  // beyond the clamp to Now()
    for (int i = 0; i < 40; ++i) timers.push_back(std::make_unique<Timer>(poller, [&fired, i] { fired.push_back(i); }));
    for (int step = 0; step < 200; ++step) {
      const int i = static_cast<int>(random.Below(timers.size()));
      if (random.Percent(30)) {
        timers[i]->Stop();
        expected.erase(i);
      } else {
        const Instant deadline = base + Duration(random.Below(20));
        timers[i]->Start(deadline);
        expected[i] = {deadline, step};
      }
    }
    std::vector<std::pair<std::pair<Instant, int>, int>> sorted;
    for (const auto& [i, when] : expected) sorted.push_back({when, i});
    std::sort(sorted.begin(), sorted.end());
    std::vector<int> order;
    for (const auto& [when, i] : sorted) order.push_back(i);
    while (fired.size() < order.size()) poller.RunOnce();
    EXPECT_EQ(fired, order);
  }
}

}  // namespace
}  // namespace hive
