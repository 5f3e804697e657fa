// Goal: whatever a user types becomes a value, or exactly one helpful line and exit 2. Method: a small command line
// with every kind of flag; whole lines are compared, since scripts and people rely on them.
#include "common/app/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace hive {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Options {
  bool defer = true;
  int threads = 2;
  Duration timeout = Seconds(1);
  ByteCount memory{64 << 20};
  std::string hive;
  Endpoint redis{"127.0.0.1", 6379};
  ListenAddress listen{"", 7400};
  std::string ip;
  std::string format;
  std::string peers;
  Endpoint target{"127.0.0.1", 7400};
  bool watch = false;
  bool force = false;
};

// The command line of a made-up coordinator.
class FlagsTest : public testing::Test {
 protected:
  FlagsTest() : flags("hive-test", "tests flags") {
    flags.Add("defer-to-fresher", &o.defer, "whether to defer");
    flags.Add("threads", &o.threads, {1, 64}, "event loops");
    flags.Add("leader-timeout", &o.timeout, {Millis(100), Seconds(60)}, "silence that ends a leader");
    flags.Add("hold-memory", &o.memory, {{1 << 20}, {1ULL << 40}}, "bytes held").DefaultText("a quarter");
    flags.Add("hive", &o.hive, "name of this hive");
    flags.Add("redis", &o.redis, "the local redis");
    flags.Add("listen", &o.listen, "where to listen");
    flags.AddIp("advertise-ip", &o.ip, "this member's IP");
    flags.AddChoice("log-format", &o.format, {"text", "json"}, "form of the log");
    const auto parse_peers = [this](std::string_view text) {
      if (!text.starts_with("dns:")) return false;
      o.peers = text.substr(4);
      return true;
    };
    flags.AddParsed("peers", "dns:NAME", parse_peers, "the other members");
    FlagSet& status = flags.AddCommand("status", "", "prints the hive");
    status.Add("target", &o.target, "whom to ask");
    status.Add("watch", &o.watch, "go on");
    status.Add("force", &o.force, "do it").OnlyTyped();
    flags.AddCommand("health", "SERVICE", "asks for health").Add("target", &o.target, "whom to ask");
  }

  CommandLine Parse(std::vector<std::string> args) {
    return flags.Parse(args, [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment.find(name);
      return found == environment.end() ? std::nullopt : std::optional(found->second);
    });
  }

  // Parses what must be accepted.
  CommandLine Accept(std::vector<std::string> args) {
    const CommandLine line = Parse(std::move(args));
    EXPECT_EQ(line.exit_code, std::nullopt) << line.output;
    return line;
  }

  // Parses what must be refused, and gives the line, without its newline and the program's name.
  std::string Refusal(std::vector<std::string> args) {
    const CommandLine line = Parse(std::move(args));
    EXPECT_EQ(line.exit_code, 2);
    EXPECT_EQ(line.output.find('\n'), line.output.size() - 1) << line.output;
    EXPECT_TRUE(line.output.starts_with("hive-test")) << line.output;
    return line.output.substr(9, line.output.size() - 10);
  }

  Options o;
  FlagSet flags;
  std::map<std::string, std::string> environment;
};

TEST_F(FlagsTest, WithoutWordsTheDefaultsStay) {
  const CommandLine line = Accept({});
  EXPECT_EQ(line.command, "");
  EXPECT_EQ(o.timeout, Seconds(1));
  EXPECT_FALSE(flags.given("leader-timeout"));
}

TEST_F(FlagsTest, EveryKindOfValue) {
  Accept({"--threads=64", "--leader-timeout=1.5s", "--hold-memory=2GiB", "--hive=h=1", "--redis=[::1]:7000",
          "--listen=7500", "--advertise-ip=FD00::0:1", "--log-format=json", "--peers=dns:x"});
  EXPECT_EQ(o.threads, 64);
  EXPECT_EQ(o.timeout, Millis(1500));
  EXPECT_EQ(o.memory.bytes, 2ULL << 30);
  EXPECT_EQ(o.hive, "h=1");
  EXPECT_EQ(o.redis, (Endpoint{"::1", 7000}));
  EXPECT_EQ(o.listen, (ListenAddress{"", 7500}));
  EXPECT_EQ(o.ip, "fd00::1");
  EXPECT_EQ(o.format, "json");
  EXPECT_EQ(o.peers, "x");
  EXPECT_TRUE(flags.given("peers"));
}

TEST_F(FlagsTest, UnderscoresASpaceAndRepetition) {
  Accept({"--leader_timeout", "250ms", "-threads=3", "--threads=4"});
  EXPECT_EQ(o.timeout, Millis(250));
  EXPECT_EQ(o.threads, 4);  // the last one counts
}

TEST_F(FlagsTest, BooleansInAllForms) {
  for (const char* off :
       {"--nodefer-to-fresher", "--no-defer-to-fresher", "--defer-to-fresher=false", "--no_defer_to_fresher"}) {
    o.defer = true;
    Accept({off});
    EXPECT_FALSE(o.defer) << off;
  }
  Accept({"--defer-to-fresher"});
  EXPECT_TRUE(o.defer);
  EXPECT_EQ(Refusal({"--defer-to-fresher=maybe"}), ": --defer-to-fresher=maybe: must be true or false");
}

TEST_F(FlagsTest, TheEnvironmentGivesWayToTheCommandLine) {
  environment = {{"HIVE_THREADS", "7"}, {"HIVE_LEADER_TIMEOUT", "2s"}, {"HIVE_HIVE", ""}, {"HIVE_PORT", "tcp://1"}};
  Accept({"--threads=8"});
  EXPECT_EQ(o.threads, 8);
  EXPECT_EQ(o.timeout, Seconds(2));
  EXPECT_FALSE(flags.given("hive"));  // set to nothing: unset
}

TEST_F(FlagsTest, WhatMustBeMeantIsNotReadFromTheEnvironment) {
  environment = {{"HIVE_FORCE", "true"}, {"HIVE_WATCH", "true"}};
  Accept({"status"});
  EXPECT_TRUE(o.watch);
  EXPECT_FALSE(o.force);
  EXPECT_THAT(Parse({"status", "--help"}).output, HasSubstr("true or false; not from the environment\n"));
  Accept({"status", "--force"});
  EXPECT_TRUE(o.force);
}

TEST_F(FlagsTest, ABadVariableIsNamedAsOne) {
  environment = {{"HIVE_LEADER_TIMEOUT", "5h"}};
  EXPECT_EQ(Refusal({}),
            ": HIVE_LEADER_TIMEOUT=5h: must be a duration from 100ms to 1m, such as 250ms or 1.5s (environment)");
}

TEST_F(FlagsTest, ValuesThatCannotBe) {
  const std::string duration = ": must be a duration from 100ms to 1m, such as 250ms or 1.5s";
  for (const char* value : {"99ms", "61s", "5", "abc", "", "inf", "-1s", "999999999h"}) {
    EXPECT_EQ(Refusal({std::string("--leader-timeout=") + value}),
              std::string(": --leader-timeout=") + value + duration);
  }
  EXPECT_EQ(o.timeout, Seconds(1));
  for (const char* value : {"0", "65", "2x", "99999999999", "1.5"}) {
    EXPECT_EQ(Refusal({std::string("--threads=") + value}),
              std::string(": --threads=") + value + ": must be a whole number from 1 to 64");
  }
  EXPECT_EQ(Refusal({"--hold-memory=1KiB"}),
            ": --hold-memory=1KiB: must be a number of bytes from 1MiB to 1024GiB, such as 64MiB");
  EXPECT_EQ(Refusal({"--redis=localhost:6379"}),
            ": --redis=localhost:6379: must be IP:PORT, such as 127.0.0.1:6379 or [::1]:6379");
  EXPECT_EQ(Refusal({"--listen=0"}), ": --listen=0: must be IP:PORT, or PORT alone for all addresses of both families");
  EXPECT_EQ(Refusal({"--advertise-ip=me"}), ": --advertise-ip=me: must be an IP address, such as 10.0.0.1 or fd00::1");
  EXPECT_EQ(Refusal({"--log-format=xml"}), ": --log-format=xml: must be text or json");
  EXPECT_EQ(Refusal({"--peers=x"}), ": --peers=x: must be dns:NAME");
  EXPECT_EQ(Refusal({"--peers=a\nb"}), ": --peers=a?b: must be dns:NAME");
}

TEST_F(FlagsTest, AFlagWithoutItsValue) {
  EXPECT_EQ(Refusal({"--threads"}), ": --threads: needs a value: a whole number from 1 to 64");
  EXPECT_EQ(Refusal({"--log-format", "--threads=1"}), ": --log-format: needs a value: text or json");
}

TEST_F(FlagsTest, UnknownFlagsSuggestTheNearest) {
  EXPECT_EQ(Refusal({"--leader-timout=1s"}),
            ": --leader-timout: unknown flag; did you mean --leader-timeout? --help lists all");
  EXPECT_EQ(Refusal({"--something-else"}), ": --something-else: unknown flag; --help lists all");
  EXPECT_EQ(Refusal({"--target=127.0.0.1:1"}), ": --target: a flag of 'status': write it after that word");
  EXPECT_EQ(Refusal({"--noleader-timeout"}),
            ": --noleader-timeout: unknown flag; did you mean --leader-timeout? --help lists all");
  EXPECT_EQ(Refusal({"---"}), ": ---: unknown flag; --help lists all");
}

TEST_F(FlagsTest, CommandsHaveFlagsOfTheirOwn) {
  CommandLine line = Accept({"status", "--watch", "--target", "127.0.30.1:7400"});
  EXPECT_EQ(line.command, "status");
  EXPECT_TRUE(o.watch);
  EXPECT_EQ(o.target, (Endpoint{"127.0.30.1", 7400}));
  line = Accept({"health", "--target=127.0.30.2:7400", "readiness"});
  EXPECT_EQ(line.command, "health");
  EXPECT_THAT(line.arguments, ElementsAre("readiness"));
  EXPECT_THAT(Accept({"health", ""}).arguments, ElementsAre(""));  // the process as a whole
  EXPECT_THAT(Accept({"health", "--", "--odd"}).arguments, ElementsAre("--odd"));
}

TEST_F(FlagsTest, CommandsThatCannotBe) {
  EXPECT_EQ(Refusal({"stats"}), ": 'stats' is no command: those are status or health; --help says more");
  EXPECT_EQ(Refusal({"health"}), " health: needs SERVICE; --help says more");
  EXPECT_EQ(Refusal({"health", "a", "b"}), " health: 'b' is not understood: flags begin with --; --help lists all");
  EXPECT_EQ(Refusal({"status", "now"}), " status: 'now' is not understood: flags begin with --; --help lists all");
  EXPECT_EQ(Refusal({"--hive=x", "status"}), ": --hive=x: not for 'status', whose flags follow it");
  EXPECT_EQ(Refusal({"status", "--hive=x"}), " status: --hive: unknown flag; --help lists all");
}

TEST_F(FlagsTest, ACommandDoesNotReadTheOthersVariables) {
  environment = {{"HIVE_THREADS", "nonsense"}, {"HIVE_TARGET", "127.0.30.3:1"}};
  Accept({"status"});
  EXPECT_EQ(o.target, (Endpoint{"127.0.30.3", 1}));
}

TEST(FlagSetTest, RequiredFlagsAndWordsWithoutCommands) {
  std::string peers;
  FlagSet flags("hive-test", "tests flags");
  flags.Add("peers", &peers, "the others").Required();
  const auto none = [](const std::string&) { return std::nullopt; };
  EXPECT_EQ(flags.Parse({}, none).output, "hive-test: --peers is required: any text\n");
  const std::vector<std::string> words = {"--peers=a", "word"};
  EXPECT_EQ(flags.Parse(words, none).output,
            "hive-test: 'word' is not understood: flags begin with --; --help lists all\n");
}

TEST_F(FlagsTest, HelpListsEverything) {
  const CommandLine line = Parse({"--threads=3", "--help", "--nonsense"});
  EXPECT_EQ(line.exit_code, 0);
  EXPECT_THAT(line.output, HasSubstr("  --leader-timeout=DURATION\n"
                                     "      silence that ends a leader\n"
                                     "      default: 1s; a duration from 100ms to 1m, such as 250ms or 1.5s\n"));
  EXPECT_THAT(line.output, HasSubstr("default: a quarter; a number of bytes"));
  EXPECT_THAT(line.output, HasSubstr("hive-test health SERVICE [--flag=value ...]"));
  EXPECT_THAT(line.output, HasSubstr("--listen=[IP:]PORT\n      where to listen\n      default: *:7400;"));
  for (const char* name : {"defer-to-fresher", "threads", "hive", "redis", "advertise-ip", "log-format", "peers"}) {
    EXPECT_THAT(line.output, HasSubstr(std::string("  --") + name));
  }
  EXPECT_THAT(Parse({"status", "--help"}).output, HasSubstr("  --watch\n"));
  EXPECT_THAT(Parse({"--version"}).output, testing::MatchesRegex("hive-test [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST_F(FlagsTest, RulesBetweenFlagsAreToldAlike) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  Accept({"--leader-timeout=200ms"});
  EXPECT_EXIT(flags.Refuse("leader-timeout", "must be at least 3 x --beat-interval"), testing::ExitedWithCode(2),
              "^hive-test: --leader-timeout=200ms: must be at least 3 x --beat-interval\n$");
  EXPECT_EXIT(flags.Refuse("threads", "no"), testing::ExitedWithCode(2),
              "^hive-test: --threads \\(default 2\\): no\n$");
}

TEST_F(FlagsTest, MainExitsWhereItShould) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const char* bad[] = {"hive-test", "--threads=0"};
  EXPECT_EXIT(flags.ParseOrExit(2, const_cast<char**>(bad)), testing::ExitedWithCode(2),
              "^hive-test: --threads=0: .*\n$");
  const char* help[] = {"hive-test", "--help"};
  EXPECT_EXIT(flags.ParseOrExit(2, const_cast<char**>(help)), testing::ExitedWithCode(0), "^$");
}

TEST(ByteCountTest, ReadsAndWrites) {
  EXPECT_EQ(ParseByteCount("4096"), ByteCount{4096});
  EXPECT_EQ(ParseByteCount("1B"), ByteCount{1});
  EXPECT_EQ(ParseByteCount("3KiB"), ByteCount{3072});
  for (const char* text : {"", "MiB", "-1", "1.5MiB", "1MB", "99999999999GiB", "1 MiB"}) {
    EXPECT_EQ(ParseByteCount(text), std::nullopt) << text;
  }
  EXPECT_EQ(ToString(ByteCount{64 << 20}), "64MiB");
  EXPECT_EQ(ToString(ByteCount{1000}), "1000");
  EXPECT_EQ(ToString(ByteCount{0}), "0");
}

}  // namespace
}  // namespace hive
