// Goal: who has not authenticated gets what redis would give it on a connection made when the client connected, however
// old the connections are that clients share. Method: the default user of a real redis gets a password, and loses it,
// while clients come and go.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "proxy/resp/replies.h"
#include "tests/unit/proxy/end_to_end/fixture.h"

namespace hive::proxy {
namespace {

constexpr std::string_view kNoAuth = "-NOAUTH Authentication required.\r\n";

class AuthenticationTest : public ProxyTest {
 protected:
  static void SetPassword(RespClient& client, std::string_view password) {
    ASSERT_EQ(client.Command({"CONFIG", "SET", "requirepass", password}), "+OK\r\n");
  }
  // Of the redis, by its own count.
  int ConnectionsReceived(RespClient& client) {
    const std::string info = client.Command({"INFO", "stats"});
    const std::string field = "total_connections_received:";
    return std::stoi(info.substr(info.find(field) + field.size()));
  }
  static std::string ManyArguments() {
    return resp::MakeRequest({"MSET", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6"});
  }
};

TEST_F(AuthenticationTest, APasswordHoldsForWhoeverConnectsAfterItWasSet) {
  StartAll();
  RespClient old(proxy_), other(proxy_);
  ASSERT_EQ(old.Command({"SET", "k", "v"}), "+OK\r\n");
  ASSERT_EQ(other.Command({"GET", "k"}), "$1\r\nv\r\n");
  SetPassword(old, "secret");
  RespClient stranger(proxy_);
  EXPECT_EQ(stranger.Command({"GET", "k"}), kNoAuth);
  EXPECT_EQ(stranger.Command({"GET", "k"}), kNoAuth);
  // As redis itself has it.
  EXPECT_EQ(old.Command({"GET", "k"}), "$1\r\nv\r\n");
  EXPECT_EQ(other.Command({"GET", "k"}), "$1\r\nv\r\n");
  EXPECT_EQ(stranger.Command({"AUTH", "secret"}), "+OK\r\n");
  EXPECT_EQ(stranger.Command({"GET", "k"}), "$1\r\nv\r\n");

  SetPassword(old, "");
  RespClient late(proxy_);
  EXPECT_EQ(late.Command({"GET", "k"}), "$1\r\nv\r\n");
  for (int i = 0; i < 10; ++i) {
    SetPassword(old, "secret");
    EXPECT_EQ(RespClient(proxy_).Command({"GET", "k"}), kNoAuth);
    SetPassword(old, "");
    EXPECT_EQ(RespClient(proxy_).Command({"GET", "k"}), "$1\r\nv\r\n");
  }
  SetPassword(late, "another");
  RespClient later(proxy_);
  EXPECT_EQ(later.Command({"GET", "k"}), kNoAuth);
  EXPECT_EQ(later.Command({"AUTH", "secret"}).substr(0, 10), "-WRONGPASS");
  EXPECT_EQ(later.Command({"GET", "k"}), kNoAuth);
  EXPECT_EQ(late.Command({"GET", "k"}), "$1\r\nv\r\n");
}

TEST_F(AuthenticationTest, StrangersMaySendLessAndNobodyElseIsHeldToThat) {
  StartAll();
  RespClient old(proxy_);
  ASSERT_EQ(old.Command({"PING"}), "+PONG\r\n");
  SetPassword(old, "secret");
  RespClient stranger(proxy_), greedy(proxy_);
  ASSERT_EQ(stranger.Command({"PING"}), kNoAuth);
  ASSERT_EQ(greedy.Command({"PING"}), kNoAuth);
  greedy.Send(ManyArguments());
  EXPECT_EQ(greedy.Reply(), "-ERR Protocol error: unauthenticated multibulk length\r\n");
  EXPECT_TRUE(greedy.Closes());
  EXPECT_EQ(stranger.Command({"PING"}), kNoAuth);
  old.Send(ManyArguments());
  EXPECT_EQ(old.Reply(), "+OK\r\n");
  // What stands behind AUTH may be larger.
  stranger.Send(resp::MakeRequest({"AUTH", "secret"}) + ManyArguments());
  EXPECT_EQ(stranger.Reply(), "+OK\r\n");
  EXPECT_EQ(stranger.Reply(), "+OK\r\n");
  stranger.Send(ManyArguments());
  EXPECT_EQ(stranger.Reply(), "+OK\r\n");
  // Sent before it was known that it is a stranger's.
  RespClient hasty(proxy_);
  hasty.Send(ManyArguments());
  EXPECT_EQ(hasty.Reply(), "-ERR Protocol error: unauthenticated multibulk length\r\n");
  EXPECT_TRUE(hasty.Closes());
}

TEST_F(AuthenticationTest, AfterResetAClientIsAsNewAsIfItHadJustConnected) {
  StartAll();
  RespClient old(proxy_), other(proxy_);
  ASSERT_EQ(old.Command({"SET", "k", "v"}), "+OK\r\n");
  ASSERT_EQ(other.Command({"GET", "k"}), "$1\r\nv\r\n");
  SetPassword(old, "secret");
  EXPECT_EQ(other.Command({"RESET"}), "+RESET\r\n");
  EXPECT_EQ(other.Command({"GET", "k"}), kNoAuth);
  usleep(1200000);  // then RESET's connection is given up
  EXPECT_EQ(other.Command({"GET", "k"}), kNoAuth);
  EXPECT_EQ(other.Command({"GET", "k"}), kNoAuth);
  EXPECT_EQ(old.Command({"GET", "k"}), "$1\r\nv\r\n");
}

TEST_F(AuthenticationTest, ACrowdOfNewClientsCostsRedisAFewConnections) {
  constexpr int kClients = 500;
  StartAll();
  RespClient direct(redis_a_);
  RespClient old(proxy_);
  ASSERT_EQ(old.Command({"PING"}), "+PONG\r\n");
  const int before = ConnectionsReceived(direct);
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<RespClient>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<RespClient>(proxy_));
    clients.back()->Send("PING\r\n");
  }
  for (const std::unique_ptr<RespClient>& client : clients) ASSERT_EQ(client->Reply(), "+PONG\r\n");
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_LE(ConnectionsReceived(direct) - before, 5 + took / std::chrono::milliseconds(25));
}

}  // namespace
}  // namespace hive::proxy
