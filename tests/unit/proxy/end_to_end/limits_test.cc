// Goal: whoever uses up what a proxy has costs itself something, and others nothing. Method: a proxy that may open few
// files or hold little, one crowd that takes all it can get, and a client that asks for small things meanwhile.
#include <memory>
#include <string>
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

}  // namespace
}  // namespace hive::proxy
