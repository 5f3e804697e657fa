// Goal: what an event loop believes about its leader never stays wrong. Method: an event loop, told of leaders by the
// test, before a redis that is nothing but a few answers, of which the test can hold one back.
#include "proxy/worker/event_loop.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/net/clock.h"
#include "common/net/socket.h"
#include "tests/unit/proxy/end_to_end/resp_client.h"

namespace hive::proxy {
namespace {

// A master that has one key. Its thread serves all connections.
class FakeRedis {
 public:
  explicit FakeRedis(const Endpoint& endpoint) : listener_(*ListenTcp({endpoint.ip, endpoint.port})) {
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeRedis() {
    over_ = true;
    thread_.join();
  }

  std::atomic<bool> lists_commands = true;  // else COMMAND is answered once it is true again
  std::atomic<bool> answers_role = true;
  std::atomic<int> commands_asked = 0;
  std::atomic<int> roles_asked = 0;
  std::atomic<bool> loads_scripts = true;  // else SCRIPT is not answered

 private:
  struct Connection {
    Fd socket;
    bool owes_commands = false;
  };

  void Serve() {
    std::list<Connection> connections;
    while (!over_) {
      std::vector<pollfd> ready = {{listener_.get(), POLLIN, 0}};
      for (const Connection& connection : connections) ready.push_back({connection.socket.get(), POLLIN, 0});
      ::poll(ready.data(), ready.size(), 5);
      size_t i = 1;
      for (auto at = connections.begin(); at != connections.end(); ++i) {
        const bool lives = (ready[i].revents == 0 || Answer(*at)) && PayDebts(*at);
        at = lives ? std::next(at) : connections.erase(at);
      }
      if (ready[0].revents != 0) connections.push_back({Fd(::accept(listener_.get(), nullptr, nullptr))});
    }
  }
  bool Answer(Connection& connection) {
    char buffer[4096];
    const ssize_t n = ::recv(connection.socket.get(), buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    const std::string_view asked(buffer, static_cast<size_t>(n));
    if (asked.find("COMMAND") != asked.npos) {
      ++commands_asked;
      connection.owes_commands = true;
    }
    if (asked.find("ROLE") != asked.npos) {
      ++roles_asked;
      if (answers_role) Say(connection, "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    }
    if (asked.find("SCRIPT") != asked.npos && loads_scripts) Say(connection, "+hash\r\n");
    if (asked.find("HANGUP") != asked.npos) return false;
    if (asked.find("PING") != asked.npos) Say(connection, "+PONG\r\n");
    if (asked.find("GET") != asked.npos) Say(connection, "$1\r\nv\r\n");
    return true;
  }
  bool PayDebts(Connection& connection) {
    if (lists_commands && std::exchange(connection.owes_commands, false)) Say(connection, "*0\r\n");
    return true;
  }
  static void Say(Connection& connection, std::string_view reply) {
    ::send(connection.socket.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
  }

  Fd listener_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

class EventLoopTest : public testing::Test {
 protected:
  EventLoopTest() {
    const int pid = getpid();
    const std::string ip = "127.0.34." + std::to_string(1 + pid % 250);
    const auto port = static_cast<uint16_t>(10000 + pid % 1900 * 10);
    proxy_ = {ip, port};
    redis_endpoint_ = {ip, static_cast<uint16_t>(port + 1)};
  }
  ~EventLoopTest() override {
    if (!loop_) return;
    loop_->Stop();
    thread_.join();
  }

  void Start(WorkerOptions options = {}) {
    redis_ = std::make_unique<FakeRedis>(redis_endpoint_);
    std::vector<Fd> listeners;
    listeners.push_back(*ListenTcp({proxy_.ip, proxy_.port}));
    loop_ = std::make_unique<EventLoop>(std::move(options), std::move(listeners), counters_);
    thread_ = std::thread([this] { loop_->Run(); });
  }
  // A leader with a lease of a minute.
  void SetLeader(uint64_t term, uint64_t incarnation = 1) {
    LeaderSnapshot snapshot;
    snapshot.leader = {term, redis_endpoint_.ip, incarnation, redis_endpoint_};
    snapshot.write_state = WriteState::kOpen;
    snapshot.lease_until = ReadMonotonicClock() + Seconds(60);
    loop_->SetLeader(snapshot);
  }

  Endpoint proxy_, redis_endpoint_;
  SharedCounters counters_;
  std::unique_ptr<FakeRedis> redis_;
  std::unique_ptr<EventLoop> loop_;
  std::thread thread_;
};

// The leader is suspected right after it was seen to be a master, while its list of commands is being read: by a new
// term, by a refusal, by a link that was closed.
TEST_F(EventLoopTest, ALeaderSuspectedWhileItsCommandsAreReadIsLookedAtAgain) {
  Start();
  redis_->lists_commands = false;
  SetLeader(1);
  RespClient client(proxy_);
  ASSERT_EQ(client.Command({"GET", "k"}), "$1\r\nv\r\n");
  ASSERT_EQ(redis_->commands_asked, 1);
  SetLeader(2);  // the same redis
  redis_->lists_commands = true;
  client.Send("GET k\r\n");
  EXPECT_EQ(client.Reply(3000), "$1\r\nv\r\n");
  // The list that was given up is read after all.
  for (int i = 0; i < 300 && redis_->commands_asked < 2; ++i) usleep(10000);
  EXPECT_EQ(redis_->commands_asked, 2);
}

// A redis that has closed one client's connection may have been restarted: nothing new is connected to it before it has
// shown itself a master. But whoever is connected is so to the one that has.
TEST_F(EventLoopTest, OneClientsLinkThatIsClosedHoldsUpNobodyWhoIsConnected) {
  Start();
  SetLeader(1);
  RespClient bystander(proxy_);
  ASSERT_EQ(bystander.Command({"GET", "k"}), "$1\r\nv\r\n");
  redis_->answers_role = false;
  RespClient hostile(proxy_);
  hostile.Send("HANGUP\r\n");
  EXPECT_TRUE(hostile.Closes());
  EXPECT_EQ(bystander.Command({"GET", "k"}), "$1\r\nv\r\n");
  RespClient other(proxy_);
  other.Send("XGET k\r\n");  // unknown, so not on a lane
  EXPECT_TRUE(other.Quiet(200));
  redis_->answers_role = true;
  EXPECT_EQ(other.Reply(), "$1\r\nv\r\n");
}

// Nobody led for a moment, as far as the watch could tell: nothing was lost, so nothing has to be found out.
TEST_F(EventLoopTest, TheSameLeadershipAfterAMomentWithoutIsNotSuspected) {
  Start();
  SetLeader(1);
  RespClient client(proxy_);
  ASSERT_EQ(client.Command({"GET", "k"}), "$1\r\nv\r\n");
  loop_->SetLeader({});
  usleep(50000);  // a hop between threads
  client.Send("GET k\r\n");
  EXPECT_TRUE(client.Quiet(100));
  SetLeader(1);
  EXPECT_EQ(client.Reply(3000), "$1\r\nv\r\n");
  EXPECT_EQ(redis_->roles_asked, 1);
}

// Commands wait for scripts to be loaded, but not for long.
TEST_F(EventLoopTest, ANewLeaderThatTakesNoScriptsIsUsedAllTheSame) {
  Start();
  SetLeader(1);
  RespClient client(proxy_);
  ASSERT_EQ(client.Command({"SCRIPT", "LOAD", "return 1"}), "+hash\r\n");
  redis_->loads_scripts = false;
  SetLeader(2, 2);  // another redis at the same place
  usleep(20000);    // a hop between threads
  const Instant began = ReadMonotonicClock();
  client.Send("GET k\r\n");
  EXPECT_EQ(client.Reply(3000), "$1\r\nv\r\n");
  EXPECT_GE(ReadMonotonicClock() - began, Millis(50));
  EXPECT_LE(ReadMonotonicClock() - began, Seconds(1));
}

}  // namespace
}  // namespace hive::proxy
