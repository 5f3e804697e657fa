// Goal: scripts that clients have loaded are there after a change of leader, although redis does not replicate them.
// Method: two real redis-servers that know nothing of each other lead one after the other.
#include <string>
#include <vector>

#include "proxy/resp/replies.h"
#include "tests/unit/proxy/end_to_end/fixture.h"

namespace hive::proxy {
namespace {

class ScriptsTest : public ProxyTest {
 protected:
  // The hash within the reply to SCRIPT LOAD.
  static std::string Hash(const std::string& reply) {
    EXPECT_EQ(reply.substr(0, 5), "$40\r\n");
    return reply.substr(5, 40);
  }
  // Until B has this one. On a busy machine it may take longer than commands wait for it.
  void AwaitLoaded(const std::string& hash) {
    for (int i = 0; i < 2000; ++i) {
      if (Direct(redis_b_, {"SCRIPT", "EXISTS", hash}) == "*1\r\n:1\r\n") return;
      usleep(1000);
    }
    ADD_FAILURE() << "the new leader has not been given " << hash;
  }
};

TEST_F(ScriptsTest, ANewLeaderIsGivenThem) {
  StartAll();
  RespClient client(proxy_), other(proxy_);
  const std::string loaded = Hash(client.Command({"SCRIPT", "LOAD", "return 'loaded'"}));
  EXPECT_EQ(other.Command({"EVAL", "return 'evaluated'", "0"}), "$9\r\nevaluated\r\n");
  const std::string evaluated = Hash(Direct(redis_a_, {"SCRIPT", "LOAD", "return 'evaluated'"}));
  EXPECT_TRUE(client.Command({"SCRIPT", "LOAD", "this is no script"}).starts_with("-ERR"));
  ASSERT_EQ(Direct(redis_b_, {"SCRIPT", "EXISTS", loaded}), "*1\r\n:0\r\n");
  Switch();
  AwaitLoaded(loaded);
  AwaitLoaded(evaluated);
  EXPECT_EQ(other.Command({"EVALSHA", loaded, "0"}), "$6\r\nloaded\r\n");
  EXPECT_EQ(client.Command({"EVALSHA", evaluated, "0"}), "$9\r\nevaluated\r\n");
}

TEST_F(ScriptsTest, ThoseThatWereFlushedAreNot) {
  StartAll();
  RespClient client(proxy_);
  const std::string before = Hash(client.Command({"SCRIPT", "LOAD", "return 'before'"}));
  EXPECT_EQ(client.Command({"SCRIPT", "FLUSH"}), "+OK\r\n");
  const std::string after = Hash(client.Command({"SCRIPT", "LOAD", "return 'after'"}));
  Switch();
  AwaitLoaded(after);
  EXPECT_TRUE(client.Command({"EVALSHA", before, "0"}).starts_with("-NOSCRIPT"));
  EXPECT_EQ(client.Command({"EVALSHA", after, "0"}), "$5\r\nafter\r\n");
}

TEST_F(ScriptsTest, NearlyAMebibyteOfThem) {
  constexpr int kScripts = 30;
  StartAll();
  RespClient client(proxy_);
  std::vector<std::string> hashes;
  for (int i = 0; i < kScripts; ++i) {
    const std::string body = "return " + std::to_string(i) + " --" + std::string(32000, 'x');
    hashes.push_back(Hash(client.Command({"SCRIPT", "LOAD", body})));
  }
  Switch();
  for (const std::string& hash : hashes) AwaitLoaded(hash);
  for (int i = 0; i < kScripts; ++i) {
    EXPECT_EQ(client.Command({"EVALSHA", hashes[static_cast<size_t>(i)], "0"}), ":" + std::to_string(i) + "\r\n");
  }
}

}  // namespace
}  // namespace hive::proxy
