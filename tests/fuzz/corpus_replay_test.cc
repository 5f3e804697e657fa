// Runs everything that the fuzzers ever found worth keeping through the same properties, in every ordinary test run.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/scanner_properties.h"
#include "tests/fuzz/session_properties.h"

namespace hive::resp {
namespace {

// How many inputs there were. A violation aborts; the trace then names the file.
template <typename Check>
int Replay(const std::string& target, Check check) {
  int inputs = 0;
  for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(HIVE_FUZZ_CORPUS) / target)) {
    SCOPED_TRACE(file.path().string());
    std::ifstream stream(file.path(), std::ios::binary);
    check(std::string(std::istreambuf_iterator<char>(stream), {}));
    ++inputs;
  }
  return inputs;
}

TEST(CorpusReplay, RequestScanner) { EXPECT_GT(Replay("request_scanner", CheckRequestScanner), 0); }
TEST(CorpusReplay, Session) { EXPECT_GT(Replay("session", proxy::CheckSession), 0); }
TEST(CorpusReplay, ReplyScanner) { EXPECT_GT(Replay("reply_scanner", CheckReplyScanner), 0); }

}  // namespace
}  // namespace hive::resp
