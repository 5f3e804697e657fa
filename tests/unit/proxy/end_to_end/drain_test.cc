// Goal: a proxy that gets SIGTERM ends without an error for clients that look at their connection before they use it,
// and executes nothing that it does not answer. Method: SIGTERM under pooled clients that are busy, slow and idle,
// under clients that connect for each command, and under one that sends behind its back.
#include <atomic>
#include <chrono>
#include <string>

#include "common/app/health.h"
#include "tests/unit/proxy/end_to_end/crowd.h"
#include "tests/unit/proxy/end_to_end/fixture.h"

namespace hive::proxy {
namespace {

int64_t NowMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string Bulk(const std::string& text) { return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n"; }

class DrainTest : public ProxyTest {
 protected:
  // In milliseconds, below kQuietBeforeEnd: on a machine that keeps a client waiting for longer between the two, a
  // connection may end in between.
  static constexpr int64_t kMostBetweenLookAndUse = 40;

  // Counts on a connection that it keeps, `pause_ms` between two commands, until it finds that connection closed. Each
  // count must have been answered: `counted` is what redis must have in the end.
  void AddPooled(Crowd& crowd, int number, int pause_ms) {
    counted_.push_back(std::make_unique<std::atomic<int64_t>>(0));
    crowd.Add([this, &crowd, number, pause_ms, counted = counted_.back().get()] {
      RespClient client(proxy_);
      const std::string key = "count:" + std::to_string(number);
      for (int64_t n = 1; !client.SeesEnd(); ++n) {
        const int64_t looked = NowMillis();
        client.SendCommand({"INCR", key});
        const bool stalled = NowMillis() - looked >= kMostBetweenLookAndUse;
        const std::string reply = client.Reply();
        if (stalled && reply == "<closed>") break;
        if (!crowd.Expect(key, reply, ":" + std::to_string(n) + "\r\n")) return;
        *counted = n;
        usleep(static_cast<useconds_t>(pause_ms * 1000));
      }
      ++ended_;
    });
  }
  // A connection for each command, until there is none to be had.
  void AddFresh(Crowd& crowd, int number) {
    crowd.Add([this, &crowd, number] {
      const std::string key = "fresh:" + std::to_string(number);
      for (int64_t n = 1;; ++n) {
        RespClient client(proxy_, 1);
        if (!client.connected()) break;
        if (!crowd.Expect(key, client.Command({"INCR", key}), ":" + std::to_string(n) + "\r\n")) return;
        last_fresh_ = NowMillis();
        usleep(5000);
      }
      ++ended_;
    });
  }
  HealthAnswer::Status Readiness() { return AskHealth(health_, kHealthReadiness, Seconds(2)).status; }

  std::vector<std::unique_ptr<std::atomic<int64_t>>> counted_;
  std::atomic<int> ended_ = 0;
  std::atomic<int64_t> last_fresh_ = 0;
};

TEST_F(DrainTest, ClientsThatLookBeforeUseSeeNoError) {
  StartAll({"--drain-timeout=5s"});
  Crowd crowd;
  constexpr int kPooled = 40;
  for (int i = 0; i < kPooled; ++i) AddPooled(crowd, i, i < 10 ? 0 : i < 20 ? 1 : i < 35 ? 50 : 700);
  for (int i = 0; i < 3; ++i) AddFresh(crowd, i);
  RespClient idle(proxy_);
  EXPECT_EQ(idle.Command({"PING"}), "+PONG\r\n");
  usleep(300000);
  EXPECT_EQ(Readiness(), HealthAnswer::Status::kServing);

  const int64_t begin = NowMillis();
  proxy_process_->Signal(SIGTERM);
  while (Readiness() == HealthAnswer::Status::kServing && NowMillis() - begin < 1000) usleep(5000);
  EXPECT_LT(NowMillis() - begin, 500);
  EXPECT_EQ(Readiness(), HealthAnswer::Status::kNotServing);
  usleep(2000000);
  EXPECT_EQ(RespClient(proxy_).Command({"SET", "new", "1"}), "+OK\r\n");  // endpoints lag
  EXPECT_FALSE(idle.SeesEnd());
  EXPECT_EQ(ended_, 0);

  crowd.Join();  // each of them has seen its end
  EXPECT_GE(NowMillis() - begin, 4000);
  EXPECT_GE(last_fresh_ - begin, 4000);
  EXPECT_TRUE(idle.Closes(1000));
  idle.Close();
  EXPECT_EQ(proxy_process_->Wait(2), 0);
  EXPECT_LT(NowMillis() - begin, 6000);
  EXPECT_EQ(crowd.complaints(), "");
  EXPECT_EQ(ended_, kPooled + 3);
  for (int i = 0; i < kPooled; ++i) {
    EXPECT_EQ(Direct(redis_a_, {"GET", "count:" + std::to_string(i)}), Bulk(std::to_string(*counted_[i]))) << i;
  }
}

TEST_F(DrainTest, WhatIsSentBehindTheEndIsNotExecuted) {
  StartAll({"--drain-timeout=3s"});
  RespClient client(proxy_);
  RespClient streaming(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  // Half a large command: it may still come to its end.
  const std::string value(400000, 'x');
  streaming.Send("*3\r\n$3\r\nSET\r\n$1\r\nl\r\n$400000\r\n" + value.substr(0, 300000));
  proxy_process_->Signal(SIGTERM);
  while (!client.SeesEnd()) usleep(1000);
  client.Send("SET k 2\r\n");
  streaming.Send(value.substr(300000) + "\r\n");
  EXPECT_EQ(streaming.Reply(), "+OK\r\n");
  EXPECT_EQ(client.Reply(), "<closed>");
  EXPECT_EQ(streaming.Reply(), "<closed>");
  EXPECT_EQ(proxy_process_->Wait(2), 0);
  EXPECT_EQ(Direct(redis_a_, {"GET", "k"}), Bulk("1"));
  EXPECT_EQ(Direct(redis_a_, {"STRLEN", "l"}), ":400000\r\n");
}

TEST_F(DrainTest, EndsInTimeWhoeverIsLeft) {
  StartAll({"--drain-timeout=1s"});
  RespClient blocked(proxy_);
  blocked.SendCommand({"BLPOP", "q", "0"});
  usleep(100000);
  const int64_t begin = NowMillis();
  proxy_process_->Signal(SIGTERM);
  EXPECT_EQ(proxy_process_->Wait(3), 0);
  EXPECT_GE(NowMillis() - begin, 900);
  EXPECT_LT(NowMillis() - begin, 1600);
  EXPECT_EQ(blocked.Reply(), "<closed>");
}

TEST_F(DrainTest, WithoutClientsItEndsSoon) {
  StartAll();
  const int64_t begin = NowMillis();
  proxy_process_->Signal(SIGTERM);
  EXPECT_EQ(proxy_process_->Wait(5), 0);
  EXPECT_LT(NowMillis() - begin, 2500);
}

}  // namespace
}  // namespace hive::proxy
