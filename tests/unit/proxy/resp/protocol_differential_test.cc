// Goal: the scanners and the table agree with a real redis-server, not only with what we believe of it.
// Method: start redis-server on a UNIX socket (no port to collide with), send it bytes and half-close; what it answers
// must be one reply for each command that the scanner finds, then the scanner's error text, byte for byte. Skipped
// where there is no redis-server.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/random.h"
#include "proxy/resp/command_facts.h"
#include "proxy/resp/replies.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/resp/resp_value.h"
#include "tests/fuzz/scanner_properties.h"

namespace hive::resp {
namespace {

using std::string_literals::operator""s;
using std::string_view_literals::operator""sv;
using Kind = ScanEvent::Kind;

constexpr std::chrono::seconds kStartTimeout(20);

class RealRedis : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    char folder[] = "/tmp/hive_resp_XXXXXX";
    if (mkdtemp(folder) == nullptr) return;
    folder_ = folder;
    child_ = fork();
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const std::string socket = folder_ + "/redis.sock";
      const std::string log = folder_ + "/log";
      execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket.c_str(), "--dir", folder, "--save",
             "", "--appendonly", "no", "--logfile", log.c_str(), nullptr);
      _exit(127);
    }
    const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
    while (std::chrono::steady_clock::now() < deadline && waitpid(child_, nullptr, WNOHANG) == 0) {
      if (Ask("PING\r\n") == "+PONG\r\n") {
        running_ = true;
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  static void TearDownTestSuite() {
    if (running_) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  void SetUp() override {
    if (!running_) GTEST_SKIP() << "no redis-server to compare with: apt-get install redis-server, or run ./hive test";
  }

  enum class Ending { kHalfClose, kServerCloses };

  // All that the server says until it closes; nothing when there is no server. After a half-close it says what fits
  // into one write.
  static std::optional<std::string> Ask(std::string_view bytes, Ending ending = Ending::kHalfClose) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (folder_ + "/redis.sock").copy(address.sun_path, sizeof address.sun_path - 1);
    std::optional<std::string> answer;
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      answer.emplace();
      // The server may close before it has read all: not an error here.
      while (!bytes.empty()) {
        const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) break;
        bytes.remove_prefix(static_cast<size_t>(sent));
      }
      if (ending == Ending::kHalfClose) shutdown(fd, SHUT_WR);
      char buffer[65536];
      for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) answer->append(buffer, static_cast<size_t>(n));
    }
    close(fd);
    return answer;
  }

  // Whether server and scanner agree on `bytes`.
  static void Compare(const std::string& bytes, const ClientRules& rules = {}) {
    size_t commands = 0;
    std::string error;
    for (const ScanEvent& event : ScanRequests(bytes, rules, {})) {
      if (event.kind == Kind::kWhole) ++commands;
      if (event.kind == Kind::kError) error = ErrorReply(event.error);
    }

    const std::string answer = Ask(bytes).value_or("no server");
    const std::vector<ScanEvent> replies = ScanReplies(answer, {});
    size_t answered = replies.size() - 1;  // the last event says "incomplete"
    EXPECT_EQ(replies.back().kind, Kind::kIncomplete);
    if (!error.empty()) {
      EXPECT_TRUE(answer.ends_with(error))
          << testing::PrintToString(bytes.substr(0, 200)) << "\nredis: " << answer << "\nhere: " << error;
      --answered;
    } else {
      EXPECT_EQ(answer.find("Protocol error"), std::string::npos)
          << testing::PrintToString(bytes.substr(0, 200)) << "\nredis: " << answer;
    }
    EXPECT_EQ(answered, commands) << testing::PrintToString(bytes.substr(0, 200)) << "\nredis: " << answer;
  }

  static inline std::string folder_;
  static inline pid_t child_ = -1;
  static inline bool running_ = false;
};

const std::vector<std::string>& Streams() {
  static const std::vector<std::string> streams = {
      MakeRequest({"PING"}) + MakeRequest({"ECHO", "hello"}) + MakeRequest({"ECHO", ""}),
      "PING\r\n\r\nECHO \"a b\"\nECHO 'it\\'s'\r\n \r\nPING\n",
      "*0\r\n*-1\r\n*-5\r\n" + MakeRequest({"ECHO", "a\r\n*1\r\n$4\r\nPING\r\n"}) + "PING\r\n",
      "*2\r\n$4\r\nECHOxx$1\r\nayy*1\rX$4\rXPINGzz",
      "*2147483647\r\n",
      "*2147483648\r\n",
      "*01\r\n",
      "*-0\r\n",
      "*+1\r\n",
      "*\r\n",
      "* 1\r\n",
      "*9223372036854775807\r\n",
      "*9223372036854775808\r\n",
      "*-9223372036854775808\r\nPING\r\n",
      "*-9223372036854775809\r\n",
      "*1\r\n$-1\r\n",
      "*1\r\n$\r\n",
      "*1\r\n$04\r\nPING\r\n",
      "*1\r\n$536870912\r\n",
      "*1\r\n$536870913\r\n",
      "*1\r\n#4\r\n",
      "*1\r\n\r\n",
      "*1\r\n\nx\r\n",
      "*1\r\n\xff\r\n",
      "*1\r\nPING",
      "ECHO \"a\"b\r\n",
      "ECHO \"\r\n",
      "ECHO '\r\n",
      "ECHO \"\\x41\\n\\q\\xzz\\\"\"\r\n",
      "ECHO a\"b\"\r\nECHO a\vb\r\n\r\r\nPING\r\r\n",
      "PI\0NG\r\n"s,
      "*1\0\r\n"s,
      "*1\r\n\0\r\n"s,
      "*1\r\n$4\0\r\n"s,
      std::string(kMaxRequestLine, 'a'),
      std::string(kMaxRequestLine + 1, 'a'),
      "*" + std::string(kMaxRequestLine - 1, '1'),
      "*" + std::string(kMaxRequestLine, '1'),
      "*1\r\n$" + std::string(kMaxRequestLine - 1, '1'),
      "*1\r\n$" + std::string(kMaxRequestLine, '1'),
  };
  return streams;
}

TEST_F(RealRedis, SeesTheSameCommandsAndErrors) {
  for (const std::string& stream : Streams()) Compare(stream);
}

TEST_F(RealRedis, SeesTheSameInDamagedStreams) {
  constexpr std::string_view kBytes = "*$\r\n0123456789-+ \"'\\x\t#\0PE"sv;
  Random random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = Streams()[random.Below(4)];
    for (uint64_t damage = 1 + random.Below(3); damage > 0; --damage) {
      const size_t at = random.Below(bytes.size());
      const char byte = kBytes[random.Below(kBytes.size())];
      switch (random.Below(3)) {
        case 0:
          bytes[at] = byte;
          break;
        case 1:
          bytes.insert(at, 1, byte);
          break;
        default:
          bytes.erase(at, 1);
          if (bytes.empty()) bytes = "*";
      }
    }
    Compare(bytes);
    if (HasFailure()) FAIL() << "after " << i << " streams";
  }
}

TEST_F(RealRedis, LimitsStrangersLikewise) {
  ASSERT_EQ(Ask("CONFIG SET requirepass secret\r\n"), "+OK\r\n");
  for (const std::string_view bytes :
       {"*10\r\n", "*11\r\n", "*1\r\n$16384\r\n", "*1\r\n$16385\r\n", "*2147483648\r\n"}) {
    Compare(std::string(bytes), ClientRules{.limits = {}, .authentication_required = true});
  }
  EXPECT_EQ(Ask("AUTH secret\r\nCONFIG SET requirepass \"\"\r\n"), "+OK\r\n+OK\r\n");
}

TEST_F(RealRedis, SaysOfItsCommandsWhatTheBuiltInTableSays) {
  for (const std::string_view hello : {"", "HELLO 3\r\n"}) {
    std::string answer = Ask(std::string(hello) + "COMMAND\r\nQUIT\r\n", Ending::kServerCloses).value_or("");
    ASSERT_TRUE(answer.ends_with(kOk));
    answer.resize(answer.size() - kOk.size());
    if (!hello.empty()) {
      ReplyScanner scanner;
      ASSERT_EQ(scanner.Scan(answer), ReplyStatus::kReply);
      answer.erase(0, scanner.size());
    }
    std::string error;
    const auto table = CommandTable::FromCommandReply(answer, &error);
    ASSERT_NE(table, nullptr) << error;

    Value commands;
    size_t consumed = 0;
    ASSERT_EQ(ParseValue(answer, &commands, &consumed), ValueStatus::kValue);
    size_t compared = 0;
    const auto compare = [&](const Value& row) {
      const std::string& name = row.elements[0].text;
      const CommandRule* theirs = table->Find(name);
      const CommandRule* ours = CommandTable::BuiltIn()->Find(name);
      ASSERT_NE(theirs, nullptr) << name;
      const Effect expected = ours == nullptr ? Effect::kWrite : ours->facts.effect;
      EXPECT_EQ(theirs->facts.effect, expected) << name;
      EXPECT_EQ(theirs->facts.blocks, ours != nullptr && ours->facts.blocks) << name;
      ++compared;
    };
    for (const Value& row : commands.elements) {
      compare(row);
      for (const Value& subcommand : row.elements[9].elements) compare(subcommand);
    }
    EXPECT_GT(compared, 200u);
  }
}

}  // namespace
}  // namespace hive::resp
