// hive_sim: runs seeded schedules of a whole simulated hive and lets the judge watch. See docs/simulator.md.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/brain.h"
#include "tests/sim/options.h"
#include "tests/sim/planted.h"
#include "tests/sim/simulate.h"
#include "tests/sim/transcript.h"

namespace hive::sim {
namespace {

// Lines shown of a schedule that failed.
constexpr size_t kTail = 200;
// Lines kept of one that is replayed: all of any schedule.
constexpr size_t kEverything = 50'000'000;

struct Arguments {
  uint64_t first_seed = 1;
  uint64_t seeds = 1000;
  int members = 0;
  bool verbose = false;
  std::optional<uint64_t> replay;
  PlantedBug bug = PlantedBug::kNone;
  bool expect_objection = false;  // succeed when the judge objects: for planted bugs
  uint64_t max_failures = 1;
  Expectations expect;
  std::string expected;            // as given
  std::optional<Profile> profile;  // rather than the drawn one
};

constexpr const char* kUsage =
    "hive_sim [--seeds N] [--first-seed S] [--members M] [--verbose] [--max-failures N]\n"
    "hive_sim --seed S [--members M]     replays one schedule with its transcript\n"
    "hive_sim --plant BUG [--seeds N]    succeeds when the judge objects to the planted bug\n"
    "  --profile PROFILE   the kind of faults, rather than the drawn one: crashes redis partitions stalls dns scaling\n"
    "                      purpose oddities planned one-fault one-partition newborn forced burst everything\n"
    "                      calm\n"
    "  --expect RULE,..    of these rules demand only some: handover fencing durable discards orphans priority, or\n"
    "                      all (default), or none\n"
    "  --members 0 (default) draws 1 to 7; BUG is one of:";

bool ParseNumber(const char* text, uint64_t& number) {
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  return error == std::errc() && stop == end;
}

bool ParseBug(std::string_view text, PlantedBug& bug) {
  for (int i = 1; i < kPlantedBugs; ++i) {
    if (text != Name(static_cast<PlantedBug>(i))) continue;
    bug = static_cast<PlantedBug>(i);
    return true;
  }
  return false;
}

bool ParseProfile(std::string_view text, std::optional<Profile>& profile) {
  for (int i = 0; i < kProfiles; ++i) {
    if (text == Name(static_cast<Profile>(i))) profile = static_cast<Profile>(i);
  }
  return profile.has_value();
}

bool ParseExpectations(std::string_view text, Expectations& expect) {
  expect = Expectations::None();
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view name = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (name == "all") {
      expect = {};
    } else if (bool* rule = expect.Named(name)) {
      *rule = true;
    } else if (name != "none") {
      return false;
    }
  }
  return true;
}

Options DrawFor(const Arguments& arguments, uint64_t seed) {
  Options options = Draw(seed, arguments.members, arguments.profile);
  options.expect = arguments.expect;
  return options;
}

std::optional<Arguments> Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--verbose") {
      arguments.verbose = true;
      continue;
    }
    if (++i >= argc) return std::nullopt;
    uint64_t number = 0;
    if (flag == "--profile") {
      if (!ParseProfile(argv[i], arguments.profile)) return std::nullopt;
      continue;
    }
    if (flag == "--expect") {
      if (!ParseExpectations(argv[i], arguments.expect)) return std::nullopt;
      arguments.expected = argv[i];
      continue;
    }
    if (flag == "--plant") {
      if (!ParseBug(argv[i], arguments.bug)) return std::nullopt;
      arguments.expect_objection = true;
      continue;
    }
    if (!ParseNumber(argv[i], number)) return std::nullopt;
    if (flag == "--seeds")
      arguments.seeds = number;
    else if (flag == "--first-seed")
      arguments.first_seed = number;
    else if (flag == "--members" && number <= kMaxMembers)
      arguments.members = static_cast<int>(number);
    else if (flag == "--max-failures")
      arguments.max_failures = number;
    else if (flag == "--seed")
      arguments.replay = number;
    else
      return std::nullopt;
  }
  return arguments;
}

void Print(const Violation& violation) {
  std::printf("%s broken at %.3f ms: %s\n", violation.rule.c_str(), static_cast<double>(violation.at.count()) / 1e6,
              violation.text.c_str());
}

int Replay(const Arguments& arguments) {
  const Options options = DrawFor(arguments, *arguments.replay);
  std::printf("%s", ToString(options).c_str());
  Transcript transcript(kEverything, true);
  const Outcome outcome = Simulate(options, MakeCore, arguments.bug, transcript);
  if (outcome.violation) {
    Print(*outcome.violation);
    return 1;
  }
  std::printf("fine: converged %lld ms after the heal; %llu of %llu acknowledged writes lost\n",
              static_cast<long long>(ToMillis(outcome.converged_after)),
              static_cast<unsigned long long>(outcome.acknowledged_and_lost),
              static_cast<unsigned long long>(outcome.clients.acknowledged));
  return 0;
}

// The same schedule again, this time with a transcript: everything is drawn from the seed.
void Explain(const Arguments& arguments, const Options& options) {
  std::printf("%s", ToString(options).c_str());
  Transcript transcript(kTail);
  const Outcome outcome = Simulate(options, MakeCore, arguments.bug, transcript);
  for (const std::string& line : transcript.lines()) std::printf("%s\n", line.c_str());
  if (outcome.violation) Print(*outcome.violation);
  std::string replay =
      "replay: hive_sim --seed " + std::to_string(options.seed) + " --members " + std::to_string(arguments.members);
  if (arguments.profile) replay += std::string(" --profile ") + Name(*arguments.profile);
  if (arguments.bug != PlantedBug::kNone) replay += std::string(" --plant ") + Name(arguments.bug);
  if (!arguments.expected.empty()) replay += " --expect " + arguments.expected;
  std::printf("%s\n", replay.c_str());
}

struct Totals {
  uint64_t schedules = 0, failures = 0, elections = 0, promotions = 0, full = 0, partial = 0, steps = 0;
  uint64_t handovers = 0, takeovers = 0, fences = 0, drops = 0, forced = 0, lost = 0;
  Clients::Counts clients;
  Duration simulated{0};
  std::vector<int64_t> converged_ms;
  std::vector<int64_t> simulated_ms;

  void Add(const Outcome& outcome) {
    ++schedules;
    elections += outcome.elections;
    promotions += outcome.promotions;
    full += outcome.full_syncs;
    partial += outcome.partial_syncs;
    steps += outcome.steps;
    handovers += outcome.handovers;
    takeovers += outcome.takeovers;
    fences += outcome.fences;
    drops += outcome.drops;
    forced += outcome.forced;
    clients += outcome.clients;
    simulated_ms.push_back(ToMillis(outcome.simulated));
    lost += outcome.acknowledged_and_lost;
    simulated += outcome.simulated;
    if (!outcome.violation) converged_ms.push_back(ToMillis(outcome.converged_after));
  }
  void Print(double seconds) {
    std::sort(converged_ms.begin(), converged_ms.end());
    if (!converged_ms.empty()) {
      std::printf("converged within %lld ms of the heal (median), %lld (99 %%), %lld (all)\n",
                  static_cast<long long>(converged_ms[converged_ms.size() / 2]),
                  static_cast<long long>(converged_ms[converged_ms.size() * 99 / 100]),
                  static_cast<long long>(converged_ms.back()));
    }
    const auto number = [](uint64_t n) { return std::to_string(n); };
    std::sort(simulated_ms.begin(), simulated_ms.end());
    const double median = simulated_ms.empty() ? 0 : static_cast<double>(simulated_ms[simulated_ms.size() / 2]) / 1e3;
    std::string text = number(schedules) + " schedules, " + number(failures) + " failures; ";
    char line[160];
    std::snprintf(line, sizeof line, "%.1f simulated seconds each (median), %.0f in all; %.1f s, %.0f schedules/s\n",
                  median, std::chrono::duration<double>(simulated).count(), seconds,
                  static_cast<double>(schedules) / seconds);
    text += line;
    text += "seen: " + number(elections) + " elections, " + number(promotions) + " promotions, " + number(handovers) +
            " handovers, " + number(takeovers) + " takeovers, " + number(fences) + " fences, " + number(forced) +
            " led by force, " + number(full) + " full and " + number(partial) + " partial resyncs, " + number(drops) +
            " discards, " + number(steps) + " steps\n";
    text += "clients: " + number(clients.sent) + " writes sent, " + number(clients.acknowledged) + " acknowledged, " +
            number(lost) + " of those lost; " + number(clients.closed) + " connections closed, " +
            number(clients.held_too_long) + " writes held too long, " + number(clients.refused) + " refused, " +
            number(clients.unconfirmed) + " unconfirmed\n";
    std::printf("%s", text.c_str());
  }
};

int Run(const Arguments& arguments) {
  const auto begun = std::chrono::steady_clock::now();
  Totals totals;
  for (uint64_t seed = arguments.first_seed; seed < arguments.first_seed + arguments.seeds; ++seed) {
    const Options options = DrawFor(arguments, seed);
    Transcript quiet;
    const Outcome outcome = Simulate(options, MakeCore, arguments.bug, quiet);
    totals.Add(outcome);
    if (arguments.verbose) {
      std::printf("seed %llu: %d members, %lld ms, %s\n", static_cast<unsigned long long>(seed), options.members,
                  static_cast<long long>(ToMillis(outcome.simulated)),
                  outcome.violation ? (outcome.violation->rule + ": " + outcome.violation->text).c_str() : "fine");
    }
    if (!outcome.violation) continue;
    if (arguments.expect_objection && outcome.violation->rule != BrokenRule(arguments.bug)) continue;
    ++totals.failures;
    if (arguments.expect_objection) {
      std::printf("planted %s: seen at seed %llu. ", Name(arguments.bug), static_cast<unsigned long long>(seed));
      Print(*outcome.violation);
      return 0;
    }
    if (!arguments.verbose) Explain(arguments, options);
    if (totals.failures >= arguments.max_failures) break;
  }
  totals.Print(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  if (arguments.expect_objection) std::printf("planted %s: the judge has not seen it\n", Name(arguments.bug));
  return arguments.expect_objection || totals.failures > 0 ? 1 : 0;
}

}  // namespace
}  // namespace hive::sim

int main(int argc, char** argv) {
  using namespace hive::sim;  // NOLINT
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::optional<Arguments> arguments = Parse(argc, argv);
  if (!arguments) {
    std::fprintf(stderr, "%s", kUsage);
    for (int i = 1; i < kPlantedBugs; ++i) std::fprintf(stderr, " %s", Name(static_cast<PlantedBug>(i)));
    std::fprintf(stderr, "\n");
    return 2;
  }
  return arguments->replay ? Replay(*arguments) : Run(*arguments);
}
