// Goal: a proxy whose watch knows no leader, or an older one, finds the coordinator that knows better, and forgets
// nothing in the meantime. Method: a WatchClient and coordinators that are nothing but their watch service, in one
// process.
#include "proxy/leader/watch_client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/net/clock.h"
#include "tests/unit/proxy/end_to_end/fake_watch.h"

namespace hive::proxy {
namespace {

class WatchClientTest : public testing::Test {
 protected:
  WatchClientTest() {
    const int pid = getpid();
    ip_ = "127.0.33." + std::to_string(1 + pid % 250);
    for (int i = 0; i < 4; ++i) {
      coordinators_.push_back({ip_, static_cast<uint16_t>(10000 + pid % 1900 * 10 + i)});
    }
    // gRPC 1.51 may abort the process when the last user of its callback queue goes while the next one comes. A proxy
    // always has one, its health server; so has this process.
    static const FakeWatch* const kUser = new FakeWatch({ip_, static_cast<uint16_t>(coordinators_[0].port + 9)});
    (void)kUser;
  }

  std::unique_ptr<FakeWatch> Coordinator(int i) {
    auto watch = std::make_unique<FakeWatch>(coordinators_.at(i));
    watch->SetCoordinators(coordinators_);
    return watch;
  }
  // Whoever leads: its redis is never connected to.
  Endpoint Redis(int i) const { return {ip_, static_cast<uint16_t>(7000 + i)}; }

  void Start() {
    client_ = std::make_unique<WatchClient>(WatchClient::Options{.coordinator = coordinators_[0]},
                                            [this](const WatchClient::News& news) {
                                              const std::lock_guard lock(mutex_);
                                              if (led_ && news.snapshot.leader.term < newest_) ++setbacks_;
                                              led_ = led_ || !news.snapshot.leader.empty();
                                              newest_ = std::max(newest_, news.snapshot.leader.term);
                                              news_ = news;
                                              changed_.notify_all();
                                            });
  }
  testing::AssertionResult Await(const std::function<bool(const LeaderSnapshot&)>& condition, int milliseconds = 5000) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, Millis(milliseconds), [&] { return condition(news_.snapshot); })) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << "at term " << news_.snapshot.leader.term;
  }
  testing::AssertionResult AwaitTerm(uint64_t term) {
    return Await([term](const LeaderSnapshot& s) { return s.leader.term == term; });
  }
  // How often it went back to an older leader, or to none.
  int setbacks() {
    const std::lock_guard lock(mutex_);
    return setbacks_;
  }
  // The lease is renewed long after the one that runs now would have run out.
  testing::AssertionResult AwaitRenewals() {
    const Instant later = ReadMonotonicClock() + 2 * Millis(700);
    return Await([later](const LeaderSnapshot& s) { return s.lease_until > later; });
  }

  std::string ip_;
  std::vector<Endpoint> coordinators_;
  std::unique_ptr<WatchClient> client_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  WatchClient::News news_;
  uint64_t newest_ = 0;
  bool led_ = false;
  int setbacks_ = 0;
};

// The end of a rolling replacement, seen from a proxy that drains: its own coordinator has left; the one that it
// watches hands over, says so, and leaves; of the others one was just born, one has not heard of it yet, and one leads.
TEST_F(WatchClientTest, NobodyWhoKnowsLessMakesItForgetTheLeader) {
  auto own = Coordinator(0);
  own->SetLeader(3, Redis(1), 1);
  auto newborn = Coordinator(1);  // knows nobody
  auto late = Coordinator(2);
  late->SetLeader(3, Redis(1), 1);
  auto leader = Coordinator(3);
  leader->SetLeader(4, Redis(3), 3);
  Start();
  ASSERT_TRUE(AwaitTerm(3));
  own->SetLeader(4, Redis(3), 3);
  ASSERT_TRUE(AwaitTerm(4));
  own.reset();
  EXPECT_TRUE(AwaitRenewals());
  EXPECT_EQ(leader->streams(), 1);
  EXPECT_EQ(setbacks(), 0);
}

TEST_F(WatchClientTest, WithoutALeaderItAsksOneAfterTheOther) {
  auto own = Coordinator(0);
  own->SetLeader(3, Redis(1), 1);
  auto one = Coordinator(1);
  auto two = Coordinator(2);
  auto three = Coordinator(3);
  Start();
  ASSERT_TRUE(AwaitTerm(3));
  own.reset();
  ASSERT_TRUE(Await([](const LeaderSnapshot& s) { return s.leader.empty(); }));  // the lease has run out
  three->SetLeader(4, Redis(3), 3);                                              // which the others do not hear
  EXPECT_TRUE(AwaitTerm(4));
}

TEST_F(WatchClientTest, AnOwnCoordinatorThatDoesNotKnowIsHelpedOut) {
  auto own = Coordinator(0);
  own->SetLeader(3, Redis(1), 1);
  auto other = Coordinator(1);
  other->SetLeader(3, Redis(1), 1);
  Start();
  ASSERT_TRUE(AwaitTerm(3));
  EXPECT_EQ(other->streams(), 0);
  own->SetNoLeader();  // it has lost its leader's stream, say
  other->SetLeader(4, Redis(3), 3);
  EXPECT_TRUE(AwaitTerm(4));
  EXPECT_GE(setbacks(), 1);  // it knew the leader of which it says that it leads no more
  EXPECT_TRUE(AwaitRenewals());
  EXPECT_LE(setbacks(), 2);
  own->SetLeader(4, Redis(3), 3);  // it knows again: one stream is enough
  for (int i = 0; i < 300 && other->streams() > 0; ++i) usleep(10000);
  EXPECT_EQ(other->streams(), 0);
  EXPECT_EQ(own->streams(), 1);
}

// A hive is born: nobody knows a leader, and there is nothing to ask others for.
TEST_F(WatchClientTest, BeforeThereWasALeaderOnlyTheOwnCoordinatorIsAsked) {
  auto own = Coordinator(0);
  auto other = Coordinator(1);
  Start();
  for (int i = 0; i < 300 && own->streams() == 0; ++i) usleep(10000);
  usleep(500000);
  EXPECT_EQ(other->streams(), 0);
  own->SetLeader(1, Redis(0), 1);
  EXPECT_TRUE(AwaitTerm(1));
}

}  // namespace
}  // namespace hive::proxy
