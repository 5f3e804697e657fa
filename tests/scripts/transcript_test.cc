// Goal: what the core does in the usual cases can be read, line by line, and changes only on purpose.
// Method: each tests/scripts/testdata/*.txt is a script of commands (script_world.h), each followed by "----" and by
// what happened. The test runs the commands again and compares. HIVE_REWRITE=1 rewrites the files: read the diff.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/scripts/script_world.h"

namespace hive::scripts {
namespace {

// Keeps comments and commands, and replaces every answer by what happens now.
std::string Replay(const std::string& script) {
  World world;
  std::ostringstream out;
  std::istringstream in(script);
  bool in_answer = false;
  for (std::string line; std::getline(in, line);) {
    if (in_answer) {
      in_answer = !line.empty();
      if (in_answer) continue;
      out << '\n';
    } else if (line.empty() || line[0] == '#') {
      out << line << '\n';
    } else {
      out << line << "\n----\n" << world.Run(line);
      in_answer = false;
      // The answer that stands in the file, if there is one, is skipped up to the next blank line.
      if (in.peek() == '-') {
        std::getline(in, line);
        in_answer = true;
      }
    }
  }
  return out.str();
}

class Transcript : public testing::TestWithParam<std::string> {};

TEST_P(Transcript, IsAsRecorded) {
  const std::filesystem::path path = std::filesystem::path(HIVE_TESTDATA) / (GetParam() + ".txt");
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::stringstream recorded;
  recorded << file.rdbuf();
  const std::string now = Replay(recorded.str());
  if (std::getenv("HIVE_REWRITE") != nullptr) {
    std::ofstream(path) << now;
    return;
  }
  EXPECT_EQ(now, recorded.str()) << "HIVE_REWRITE=1 rewrites " << path;
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(HIVE_TESTDATA)) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem());
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Election, Transcript, testing::ValuesIn(Names()),
                         [](const testing::TestParamInfo<std::string>& name) { return name.param; });

}  // namespace
}  // namespace hive::scripts
