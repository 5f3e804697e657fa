// Runs everything that the fuzzers ever found worth keeping through the same properties, in every ordinary test run;
// and some ten thousand inputs that are near to it: a short run of the fuzzers where there is no libFuzzer. Always the
// same ones, so that a change is to blame for what they find; HIVE_FUZZ_SEED=N makes others.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "tests/fuzz/scanner_properties.h"
#include "tests/fuzz/session_properties.h"

namespace hive::resp {
namespace {

constexpr int kMutations = 30000;

std::vector<std::filesystem::path> Corpus(const std::string& target) {
  const std::filesystem::directory_iterator folder(std::filesystem::path(HIVE_FUZZ_CORPUS) / target);
  std::vector<std::filesystem::path> files(begin(folder), end(folder));
  std::ranges::sort(files);
  return files;
}

std::string Read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// A few changes of the kinds that libFuzzer makes. `other`: an input to take a piece from.
std::string Mutate(std::string input, const std::string& other, Random& random) {
  const auto place = [&random](const std::string& bytes) { return random.Below(bytes.size() + 1); };
  for (uint64_t left = 1 + random.Below(4); left > 0; --left) {
    const size_t at = place(input);
    switch (random.Below(5)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(random.Next());
        break;
      case 1:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << random.Below(8)));
        break;
      case 2:
        input.erase(at, random.Below(8));
        break;
      case 3:
        input.insert(at, input.substr(place(input), random.Below(32)));
        break;
      default:
        input.insert(at, other.substr(place(other), random.Below(64)));
        break;
    }
  }
  return input;
}

// The input under way, for who wants to know why it made the process abort.
std::string current;

void SaveCurrent(int) {
  const std::string file = std::filesystem::temp_directory_path() / "hive-fuzz-input";
  std::ofstream(file, std::ios::binary) << current;
  std::fprintf(stderr, "the input is in %s: give it to the fuzzer of that name\n", file.c_str());
}

// A violation aborts.
template <typename Check>
void ReplayAndMutate(const std::string& target, Check check) {
  std::vector<std::string> inputs;
  std::signal(SIGABRT, SaveCurrent);
  for (const auto& file : Corpus(target)) {
    current = Read(file);
    inputs.push_back(current);
    check(current);
  }
  ASSERT_FALSE(inputs.empty());
  const char* const seed = std::getenv("HIVE_FUZZ_SEED");
  Random random(seed != nullptr ? std::strtoull(seed, nullptr, 10) : 1);
  for (int run = 0; run < kMutations; ++run) {
    // Some build on what was made before, so that changes add up.
    const std::string& from = run % 8 == 0 ? inputs[random.Below(inputs.size())] : current;
    current = Mutate(from, inputs[random.Below(inputs.size())], random).substr(0, 4096);
    check(current);
  }
}

TEST(CorpusReplay, RequestScanner) { ReplayAndMutate("request_scanner", CheckRequestScanner); }
TEST(CorpusReplay, Session) { ReplayAndMutate("session", proxy::CheckSession); }
TEST(CorpusReplay, ReplyScanner) { ReplayAndMutate("reply_scanner", CheckReplyScanner); }

}  // namespace
}  // namespace hive::resp
