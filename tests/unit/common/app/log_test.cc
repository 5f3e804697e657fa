// Goal: a log line is one line, valid in its form, whatever a peer or a client put into it. Method: exact lines from
// the pure formatters; then the running log with stderr captured.
#include "common/app/log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <vector>

namespace hive {
namespace {

using testing::HasSubstr;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

constexpr int64_t kMicros = 1'769'860'800'123'456;  // 2026-01-31T12:00:00.123456Z

std::string Text(LogFields fields) { return FormatLogText(kMicros, LogLevel::kInfo, "election", "leads", fields); }
std::string Json(LogFields fields) { return FormatLogJson(kMicros, LogLevel::kInfo, "election", "leads", fields); }

TEST(LogFormatTest, ReadsAsItsHeaderShows) {
  EXPECT_EQ(Text({{"term", 7}, {"member", "10.0.0.1"}}),
            "2026-01-31T12:00:00.123Z info    election: leads term=7 member=10.0.0.1");
  EXPECT_EQ(Json({{"term", 7}, {"member", "10.0.0.1"}}),
            R"({"time":"2026-01-31T12:00:00.123Z","level":"info","component":"election","message":"leads",)"
            R"("term":7,"member":"10.0.0.1"})");
}

TEST(LogFormatTest, EveryTypeOfValue) {
  const std::string dynamic = "d";
  EXPECT_THAT(Json({{"a", true}, {"b", -1}, {"c", ~uint64_t{0}}, {"d", 0.5}, {"e", dynamic}, {"f", std::nan("")}}),
              HasSubstr(R"("a":true,"b":-1,"c":18446744073709551615,"d":0.5,"e":"d","f":null})"));
  EXPECT_THAT(Text({{"a", false}, {"d", 0.25}}), HasSubstr(" a=false d=0.25"));
}

TEST(LogFormatTest, JsonEscapesWhatWouldBreakIt) {
  EXPECT_THAT(Json({{"k", "a\"b\\c\nd\x01\x7f"}}), HasSubstr(R"("k":"a\"b\\c\nd\u0001\u007f"})"));
  EXPECT_THAT(Json({{"k", "\xc3\xa9 \xf0\x9f\x90\x9d"}}), HasSubstr("\"k\":\"\xc3\xa9 \xf0\x9f\x90\x9d\"}"));
  // Not UTF-8: a lone continuation, an overlong slash, a surrogate, beyond U+10FFFF, and one cut short.
  for (const char* bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    const std::string line = Json({{"k", bad}});
    EXPECT_THAT(line, HasSubstr("\\ufffd"));
    for (const char c : line) EXPECT_LT(static_cast<unsigned char>(c), 0x80);
  }
  EXPECT_THAT(Json({{"k\"", std::string_view("\0", 1)}}), HasSubstr(R"("k\"":"\u0000"})"));
}

TEST(LogFormatTest, TextShowsControlCharactersInsteadOfObeyingThem) {
  EXPECT_THAT(Text({{"k", "a b"}, {"e", ""}, {"q", "x\"y"}}), HasSubstr(R"( k="a b" e="" q="x\"y")"));
  EXPECT_THAT(Text({{"k", "\x1b[31m\n\xc2\x9b\xff"}}), HasSubstr(R"(k=\x1b[31m\n\x9b\xff)"));
}

TEST(LogFormatTest, LevelsAndFormatsByName) {
  EXPECT_EQ(ParseLogLevel("debug"), LogLevel::kDebug);
  EXPECT_EQ(ParseLogLevel("info"), LogLevel::kInfo);
  EXPECT_EQ(ParseLogLevel("warning"), LogLevel::kWarning);
  EXPECT_EQ(ParseLogLevel("error"), LogLevel::kError);
  EXPECT_EQ(ParseLogFormat("text"), LogFormat::kText);
  EXPECT_EQ(ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_EQ(ParseLogFormat(""), LogFormat::kAuto);
}

TEST(LoggingTest, TheLastLineIsBehindWhatWasLoggedBefore) {
  CaptureStderr();
  {
    const auto logging = StartLogging({.format = LogFormat::kText, .level = LogLevel::kInfo});
    for (int i = 0; i < 200; ++i) LogInfo("test", "before");
    WriteLastLine("hive-test: {} cannot go on");
  }
  EXPECT_THAT(GetCapturedStderr(), testing::EndsWith("before\nhive-test: {} cannot go on\n"));
  CaptureStderr();
  WriteLastLine("hive-test: nor without a log");
  EXPECT_EQ(GetCapturedStderr(), "hive-test: nor without a log\n");
}

TEST(LoggingTest, WritesWhatIsOfItsLevel) {
  CaptureStderr();
  {
    const auto logging = StartLogging({.format = LogFormat::kJson, .level = LogLevel::kInfo});
    LogDebug("test", "too fine");
    EXPECT_FALSE(LogEnabled(LogLevel::kDebug));
    LogInfo("test", "{} is not a format", {{"n", 1}});
    LogError("test", "bad");
  }
  const std::string written = GetCapturedStderr();
  EXPECT_THAT(written, testing::Not(HasSubstr("too fine")));
  EXPECT_THAT(written, HasSubstr(R"("message":"{} is not a format","n":1})"
                                 "\n"));
  EXPECT_THAT(written, HasSubstr(R"("level":"error","component":"test","message":"bad"})"));
}

TEST(LoggingTest, WithoutATerminalItIsJson) {
  CaptureStderr();
  {
    const auto logging = StartLogging({}), same_again = StartLogging({});
    LogInfo("test", "x");
  }
  EXPECT_THAT(GetCapturedStderr(), testing::StartsWith("{\"time\":"));
}

TEST(LoggingTest, WithoutLoggingOnlyWhatMatters) {
  CaptureStderr();
  LogInfo("test", "quiet");
  LogWarning("test", "loud");
  EXPECT_THAT(GetCapturedStderr(), testing::MatchesRegex(".* warning test: loud\n"));
}

TEST(LoggingTest, OnlyErrorsOfGrpcPass) {
  CaptureStderr();
  {
    const auto logging = StartLogging({.format = LogFormat::kText});
    gpr_log(GPR_INFO, "chatter");
    gpr_log(GPR_ERROR, "real %s", "trouble");
  }
  const std::string written = GetCapturedStderr();
  EXPECT_THAT(written, testing::Not(HasSubstr("chatter")));
  EXPECT_THAT(written, HasSubstr("error   grpc: real trouble file="));
}

TEST(LoggingTest, ManyThreadsAndAnEndInTheirMidst) {
  // For ThreadSanitizer; what comes after the end goes to stderr directly, and none of it is lost.
  constexpr int kThreads = 4, kLines = 200;
  CaptureStderr();
  std::vector<std::thread> threads;
  {
    const auto logging = StartLogging({.format = LogFormat::kText});
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < kLines; ++i) LogError("test", "line", {{"thread", t}, {"i", i}});
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  const std::string written = GetCapturedStderr();
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), kThreads * kLines);
}

}  // namespace
}  // namespace hive
