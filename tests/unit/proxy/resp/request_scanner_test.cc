// Goal: commands begin and end where redis-server 7.0 sees them begin and end, however the bytes arrive, and malformed
// ones get its words. protocol_differential_test.cc asks the real server; here the rules are spelled out.
#include "proxy/resp/request_scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "proxy/resp/replies.h"
#include "tests/fuzz/scanner_properties.h"

namespace hive::resp {
namespace {

using std::string_literals::operator""s;
using testing::ElementsAre;
using Kind = ScanEvent::Kind;

// The arguments of the first command of `bytes`; nothing unless it is whole.
std::vector<std::string> FirstArguments(std::string_view bytes) {
  const std::vector<ScanEvent> events = ScanRequests(bytes, {}, {});
  return events.front().kind == Kind::kWhole ? events.front().arguments : std::vector<std::string>{};
}

std::string ErrorOf(std::string_view bytes, const ClientRules& rules = {}) {
  return ScanRequests(bytes, rules, {}).back().error;
}

TEST(RequestScanner, FindsArgumentsBeyondThoseItRemembers) {
  const std::string bytes = MakeRequest({"MSET", "a", "1", "", "22", "c\r\n", "333"});
  RequestScanner scanner;
  ASSERT_EQ(scanner.Scan(bytes), RequestStatus::kCommand);
  const Request request = scanner.request(bytes);
  EXPECT_EQ(request.bytes(), bytes);
  EXPECT_EQ(request.argument_count(), 7u);
  EXPECT_EQ(request.name(), "MSET");
  EXPECT_EQ(request.argument(3), "");
  EXPECT_EQ(request.argument(6), "333");
  EXPECT_THAT(FirstArguments(bytes), ElementsAre("MSET", "a", "1", "", "22", "c\r\n", "333"));
}

TEST(RequestScanner, TellsTheCommandsOfAPipelineApart) {
  const std::string get = MakeRequest({"GET", "k"});
  const std::string stream = get + "*0\r\n" + "PING\r\n" + "\r\n" + get;
  const std::vector<ScanEvent> events = ScanRequests(stream, {}, {});
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0].end, get.size());
  EXPECT_EQ(events[1].kind, Kind::kEmpty);
  EXPECT_THAT(events[2].arguments, ElementsAre("PING"));
  EXPECT_EQ(events[3].kind, Kind::kEmpty);
  EXPECT_EQ(events[4].end, stream.size());
  EXPECT_EQ(events[5].kind, Kind::kIncomplete);
}

// Method: a stream with every form of request is cut at every point, and once at every pair of bytes by reads of one.
TEST(RequestScanner, SeesTheSameBoundariesWhereverTheStreamIsCut) {
  const std::string stream = MakeRequest({"SET", "key", std::string(300, 'v')}) + "*-1\r\n" + "SET \"a b\" 'c'\r\n" +
                             MakeRequest({"SUBSCRIBE", "1", "2", "3", "4", "5"}) + "\n" +
                             MakeRequest({"EVAL", "return '\r\n*1\r\n'", "0"}) + "*1\r\n$bad\r\n";
  const std::vector<ScanEvent> expected = ScanRequests(stream, {}, {});
  ASSERT_EQ(expected.size(), 7u);
  EXPECT_EQ(ScanRequests(stream, {}, Feeding{1}), expected);
  for (size_t cut = 1; cut < stream.size(); ++cut) {
    RequestScanner scanner;
    std::string_view buffer(stream.data(), cut);
    std::vector<RequestStatus> statuses;
    uint64_t end = 0;
    for (size_t i = 0; i + 1 < expected.size();) {
      const RequestStatus status = scanner.Scan(buffer);
      if (status == RequestStatus::kIncomplete) {
        ASSERT_LT(buffer.data() + buffer.size(), stream.data() + stream.size()) << "cut at " << cut;
        buffer = std::string_view(stream).substr(end);
        continue;
      }
      end += scanner.size();
      ASSERT_EQ(end, expected[i].end) << "cut at " << cut;
      buffer.remove_prefix(scanner.size());
      ++i;
    }
    EXPECT_EQ(scanner.Scan(std::string_view(stream).substr(end)), RequestStatus::kError) << "cut at " << cut;
    EXPECT_EQ(scanner.error(), expected.back().error);
  }
}

TEST(RequestScanner, ShowsWhatIsThereOfAnIncompleteCommand) {
  const std::string bytes = MakeRequest({"SET", "key", "value"});
  RequestScanner scanner;
  const std::string_view part = std::string_view(bytes).substr(0, bytes.size() - 3);
  ASSERT_EQ(scanner.Scan(part), RequestStatus::kIncomplete);
  const Request request = scanner.request(part);
  EXPECT_EQ(request.argument_count(), 3u);
  EXPECT_EQ(request.arguments_seen(), 2u);
  EXPECT_EQ(request.argument(1), "key");
  EXPECT_EQ(scanner.known_size(), bytes.size());
}

// Method: a value of 512 MiB passes through a buffer of 64 KiB, and none of it needs to be in memory.
TEST(RequestScanner, LetsAHugeValuePass) {
  constexpr uint64_t kValue = 512ULL * 1024 * 1024;
  std::string buffer = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$" + std::to_string(kValue) + "\r\n";
  const uint64_t whole = buffer.size() + kValue + 2;
  RequestScanner scanner;
  ASSERT_EQ(scanner.Scan(buffer), RequestStatus::kIncomplete);
  EXPECT_EQ(scanner.known_size(), whole);
  EXPECT_EQ(scanner.request(buffer).arguments_seen(), 2u);

  uint64_t left = whole;
  while (left > 64 * 1024) {
    left -= buffer.size();
    scanner.Release(buffer.size());
    buffer.assign(64 * 1024, 'v');
    ASSERT_EQ(scanner.Scan(buffer), left > buffer.size() ? RequestStatus::kIncomplete : RequestStatus::kCommand);
  }
  EXPECT_TRUE(scanner.released());
  EXPECT_EQ(scanner.size(), left);
  EXPECT_EQ(scanner.request(buffer).arguments_seen(), 0u);
  buffer = "PING\r\n";
  EXPECT_EQ(scanner.Scan(buffer), RequestStatus::kCommand);
  EXPECT_FALSE(scanner.released());
}

TEST(RequestScanner, KnowsNothingCertainOfAnInlineCommand) {
  RequestScanner scanner;
  EXPECT_EQ(scanner.Scan("PIN"), RequestStatus::kIncomplete);
  EXPECT_EQ(scanner.known_size(), 0u);
}

TEST(RequestScanner, SkipsTheTwoBytesBehindABodyUnread) {
  // As redis does: a proxy that insisted on CRLF here would see other boundaries than the server.
  EXPECT_THAT(FirstArguments("*2\r\n$4\r\nECHOxy$1\rZaxy"), ElementsAre("ECHO", "a"));
}

TEST(RequestScanner, ReportsMalformedRequestsInTheWordsOfRedis) {
  const struct {
    std::string bytes;
    std::string_view error;
  } cases[] = {
      {"*\r\n", "Protocol error: invalid multibulk length"},
      {"*01\r\n", "Protocol error: invalid multibulk length"},
      {"*-0\r\n", "Protocol error: invalid multibulk length"},
      {"*+1\r\n", "Protocol error: invalid multibulk length"},
      {"* 1\r\n", "Protocol error: invalid multibulk length"},
      {"*2147483648\r\n", "Protocol error: invalid multibulk length"},
      {"*9223372036854775808\r\n", "Protocol error: invalid multibulk length"},
      {"*1\r\n$\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$04\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$536870913\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n#4\r\n", "Protocol error: expected '$', got '#'"},
      {"*1\r\nPING\r\n", "Protocol error: expected '$', got 'P'"},
      {"*1\r\n\r\n", "Protocol error: expected '$', got ' '"},
      {"*1\r\n\n4\r\n", "Protocol error: expected '$', got ' '"},
      {"GET \"a\r\n", "Protocol error: unbalanced quotes in request"},
      {"GET \"a\"b\r\n", "Protocol error: unbalanced quotes in request"},
      {std::string(kMaxRequestLine + 1, 'a'), "Protocol error: too big inline request"},
      {"*" + std::string(kMaxRequestLine, '1'), "Protocol error: too big mbulk count string"},
      {"*1\r\n$" + std::string(kMaxRequestLine, '1'), "Protocol error: too big bulk count string"},
  };
  for (const auto& [bytes, error] : cases) {
    EXPECT_EQ(ErrorOf(bytes), error) << bytes.substr(0, 40);
    const std::string_view without_last(bytes.data(), bytes.size() - 1);
    EXPECT_EQ(ErrorOf(without_last), "") << "too early: " << bytes.substr(0, 40);
  }
}

TEST(RequestScanner, TakesWhatIsJustWithinTheLimits) {
  for (const std::string_view bytes : {"*2147483647\r\n", "*1\r\n$536870912\r\n", "*-9223372036854775808\r\n"}) {
    EXPECT_EQ(ErrorOf(bytes), "") << bytes;
  }
  EXPECT_THAT(FirstArguments(std::string(kMaxRequestLine, 'a') + "\n"), testing::SizeIs(1));
  EXPECT_EQ(ErrorOf(std::string(kMaxRequestLine + 1, 'a') + "\n"), "Protocol error: too big inline request");
  ClientRules rules;
  rules.limits.max_bulk_bytes = 3;
  EXPECT_EQ(ErrorOf("*1\r\n$3\r\n", rules), "");
  EXPECT_EQ(ErrorOf("*1\r\n$4\r\n", rules), "Protocol error: invalid bulk length");
}

TEST(RequestScanner, LimitsStrangers) {
  const ClientRules stranger = {.limits = {}, .authentication_required = true};
  EXPECT_EQ(ErrorOf("*10\r\n$16384\r\n", stranger), "");
  EXPECT_EQ(ErrorOf("*11\r\n", stranger), "Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(ErrorOf("*1\r\n$16385\r\n", stranger), "Protocol error: unauthenticated bulk length");
  EXPECT_EQ(ErrorOf("*2147483648\r\n", stranger), "Protocol error: invalid multibulk length");
}

TEST(RequestScanner, NeverFindsALineEndBehindANul) {
  // Redis searches with strchr, and waits.
  for (const std::string& bytes : {"PI\0NG\r\n"s, "*1\0\r\n"s, "*1\r\n$4\0\r\n"s, "*1\r\n\0\r\n"s}) {
    EXPECT_EQ(ScanRequests(bytes, {}, {}).back().kind, Kind::kIncomplete) << bytes;
  }
  EXPECT_EQ(ErrorOf("PI\0NG\r\n"s + std::string(kMaxRequestLine, 'a')), "Protocol error: too big inline request");
}

TEST(RequestScanner, StaysFailed) {
  RequestScanner scanner;
  EXPECT_EQ(scanner.Scan("*x\r\n"), RequestStatus::kError);
  EXPECT_EQ(scanner.Scan("*1\r\n$4\r\nPING\r\n"), RequestStatus::kError);
}

TEST(SplitInlineArguments, QuotesAsRedis) {
  const struct {
    std::string_view line;
    std::vector<std::string> arguments;
  } cases[] = {
      {"", {}},
      {" \t \v\f", {}},
      {"  SET  a\tb ", {"SET", "a", "b"}},
      {"a\vb", {"a\vb"}},
      {R"(ECHO "")", {"ECHO", ""}},
      {R"("\x50\n\r\t\b\a\q\\\"\xzz\x5")", {"P\n\r\t\b\aq\\\"xzzx5"}},
      {R"('a\'b\n"')", {"a'b\\n\""}},
      {R"(a"b c")", {"ab c"}},
  };
  for (const auto& [line, expected] : cases) {
    std::vector<std::string> arguments;
    EXPECT_TRUE(SplitInlineArguments(line, &arguments)) << line;
    EXPECT_EQ(arguments, expected) << line;
  }
  for (const std::string_view line : {"\"", "'", "\"a\"b", "'a'b", "a\"b\"c", "\"a\\", "\"a\\\"", "'a\\'"}) {
    std::vector<std::string> arguments;
    EXPECT_FALSE(SplitInlineArguments(line, &arguments)) << line;
  }
}

}  // namespace
}  // namespace hive::resp
