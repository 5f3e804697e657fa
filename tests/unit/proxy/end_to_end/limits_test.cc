// Goal: whoever goes to a limit, or uses up what a proxy has, costs itself something, and others nothing. Method: a
// proxy that may open few files or hold little, a crowd that takes all it can get, and a client that asks for small
// things meanwhile.
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proxy/resp/replies.h"
#include "tests/unit/proxy/end_to_end/fixture.h"

namespace hive::proxy {
namespace {

class LimitsTest : public ProxyTest {
 protected:
  using Crowd = std::vector<std::unique_ptr<RespClient>>;

  Crowd Connect(int count) {
    Crowd crowd;
    for (int i = 0; i < count; ++i) crowd.push_back(std::make_unique<RespClient>(proxy_));
    return crowd;
  }

  // Whether these bytes, sent by a client of its own, get that reply: sooner or later.
  bool Comes(const std::string& reply, const std::string& bytes) {
    for (int i = 0; i < 100; ++i) {
      RespClient client(proxy_);
      client.Send(bytes);
      if (client.Reply(200) == reply) return true;
      usleep(20000);
    }
    return false;
  }
};

// Of 100 descriptors 84 are for clients and connections of their own. Who needs one when there is none waits until
// another client is done with its. Nobody else is held up, and the leader is not suspected.
TEST_F(LimitsTest, LinksOfTheirOwnDoNotUseUpTheDescriptors) {
  open_files_ = 100;
  StartAll({"--hold-timeout=60s"});
  RespClient early(proxy_);
  Crowd crowd = Connect(40);
  for (const auto& client : crowd) client->SendCommand({"BLPOP", "list", "0"});
  for (int i = 1; i <= 100; ++i) ASSERT_EQ(early.Command({"INCR", "k"}), ":" + std::to_string(i) + "\r\n");
  // The lane is made again, and the leader looked at; the others' links are those of the ones that have waited.
  Direct(redis_a_, {"CLIENT", "KILL", "TYPE", "normal"});
  ASSERT_EQ(early.Command({"GET", "k"}), "$3\r\n100\r\n");
  for (size_t i = 0; i < crowd.size(); ++i) early.Command({"RPUSH", "list", "x"});
  int popped = 0;
  for (const auto& client : crowd) {
    const std::string reply = client->Reply();
    if (reply == "<closed>") continue;  // nobody knows whether it had popped
    EXPECT_EQ(reply, "*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
    ++popped;
  }
  EXPECT_GE(popped, 5);
  EXPECT_LE(popped, 35);
}

// ---------------------------------------------------------------------------------------------------------------------
// Memory. 8 MiB for all but what waits for a leader: crowded from 6 MiB on.

constexpr size_t kLarge = 250'000;

TEST_F(LimitsTest, HalfCommandsOfMany) {
  StartAll({"--hold-memory=8MiB", "--client-output-limit=64MiB"});
  RespClient bystander(proxy_);
  const std::string whole = resp::MakeRequest({"SET", "half", std::string(kLarge, 'h')});
  Crowd crowd = Connect(60);
  for (const auto& client : crowd) {
    client->Send(std::string_view(whole).substr(0, whole.size() - 10));
    ASSERT_EQ(bystander.Command({"SET", "k", "v"}), "+OK\r\n");
  }
  // Some were closed at once, for lack of room. A command as large as theirs is taken, when it comes whole.
  ASSERT_EQ(bystander.Command({"SET", "large", std::string(kLarge, 'l')}), "+OK\r\n");
  ASSERT_EQ(bystander.Command({"STRLEN", "large"}), ":" + std::to_string(kLarge) + "\r\n");
  int closed = 0;
  for (const auto& client : crowd) closed += client->SeesEnd() ? 1 : 0;
  EXPECT_GE(closed, 60 - 8 * 1024 * 1024 / static_cast<int>(kLarge) - 1);
  EXPECT_LT(closed, 50);
  // Of the others as many as are too many, once they have kept it for 5 s; the last of them may go on.
  int answered = 0;
  usleep(6'000'000);
  for (const auto& client : crowd) {
    if (client->SeesEnd()) continue;
    client->Send(std::string_view(whole).substr(whole.size() - 10));
    answered += client->Reply() == "+OK\r\n" ? 1 : 0;
  }
  EXPECT_GT(answered, 5);
  EXPECT_LE(answered, 6 * 1024 * 1024 / static_cast<int>(kLarge) + 1);
  EXPECT_EQ(bystander.Command({"GET", "k"}), "$1\r\nv\r\n");
}

TEST_F(LimitsTest, RepliesThatManyDoNotTake) {
  StartAll({"--hold-memory=8MiB", "--client-output-limit=64MiB"});
  const std::string value(kLarge, 'v');
  Direct(redis_a_, {"SET", "large", value});
  RespClient bystander(proxy_);
  Crowd crowd = Connect(30);
  for (const auto& client : crowd) {
    for (int i = 0; i < 40; ++i) client->SendCommand({"GET", "large"});
    ASSERT_EQ(bystander.Command({"SET", "k", "v"}), "+OK\r\n");
  }
  for (int i = 0; i < 3; ++i) ASSERT_EQ(bystander.Command({"GET", "large"}), resp::BulkReply(value));
  ASSERT_EQ(bystander.Command({"GET", "k"}), "$1\r\nv\r\n");
}

// Of a large argument that redis does not take, a little is kept, however much has come.
TEST_F(LimitsTest, LargeArgumentsForARedisThatStandsStill) {
  StartAll({"--hold-memory=8MiB"});
  const std::string value(8 << 20, 'v');
  const std::string request = resp::MakeRequest({"SET", "large", value});
  Crowd crowd = Connect(40);
  std::vector<std::thread> senders;
  a_->Signal(SIGSTOP);
  for (const auto& client : crowd) senders.emplace_back([&] { client->Send(request); });
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  a_->Signal(SIGCONT);
  for (std::thread& sender : senders) sender.join();
  for (const auto& client : crowd) EXPECT_EQ(client->Reply(), "+OK\r\n");
}

// ---------------------------------------------------------------------------------------------------------------------
// What redis takes

// It is read behind the list of commands: a moment after the first command may be sent.
TEST_F(LimitsTest, TheServersLimitOfAnArgument) {
  a_ = StartRedis(redis_a_, {"--proto-max-bulk-len", "1mb"});
  b_ = StartRedis(redis_b_, {"--proto-max-bulk-len", "1gb"});
  watch_ = std::make_unique<FakeWatch>(coordinator_);
  watch_->SetLeader(1, redis_a_);
  StartProxy();
  RespClient first(proxy_);
  ASSERT_EQ(first.Command({"SET", "fits", std::string(1 << 20, 'x')}), "+OK\r\n");
  const std::string refused = "-ERR Protocol error: invalid bulk length\r\n";
  EXPECT_TRUE(Comes(refused, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n"));
  RespClient beyond(proxy_);
  beyond.Send("PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n");
  EXPECT_EQ(beyond.Reply(), "+PONG\r\n");
  EXPECT_EQ(beyond.Reply(), refused);
  EXPECT_EQ(beyond.Reply(), "<closed>");

  Switch();
  EXPECT_TRUE(Comes("<nothing>", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000000\r\n"));
  EXPECT_TRUE(Comes(refused, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1073741825\r\n"));
  EXPECT_EQ(first.Command({"SET", "fits", std::string(2 << 20, 'x')}), "+OK\r\n");
}

// Redis closes a connection on which HTTP comes. That of other clients it must not be.
TEST_F(LimitsTest, HttpClosesNobodyElsesConnection) {
  StartAll();
  RespClient bystander(proxy_);
  for (int i = 1; i <= 20; ++i) {
    RespClient http(proxy_);
    http.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nSET evil 1\r\n");
    EXPECT_EQ(http.Reply(), "<closed>");
    ASSERT_EQ(bystander.Command({"INCR", "k"}), ":" + std::to_string(i) + "\r\n");
  }
  EXPECT_EQ(bystander.Command({"EXISTS", "evil"}), ":0\r\n");
}

}  // namespace
}  // namespace hive::proxy
