// The command line of our binaries. Why not absl::flags: docs/decisions/0001-flags.md.
//
//   --name=value and --name value; for booleans --name, --name=false and --noname; '_' is read as '-'.
//   Each flag also from the environment: --leader-timeout is HIVE_LEADER_TIMEOUT. The command line wins. A variable
//   that is set to nothing counts as unset; a HIVE_ variable that no flag owns is ignored, since Kubernetes sets some
//   for every service whose name begins with "hive".
//   --help and --version print and exit 0. What cannot be accepted is one line on stderr and exit 2.
//   `--` ends the flags. The first word that is no flag may name a command with a flag set of its own.
//
//   Options options;
//   FlagSet flags("hive-coordinator", "elects the leader of a hive of redis servers");
//   flags.Add("leader-timeout", &options.leader_timeout, {Millis(100), Seconds(60)}, "silence that ends a leader");
//   flags.AddCommand("health", "SERVICE", "asks for the health of a service").Add("target", &options.target, "whom");
//   const CommandLine line = flags.ParseOrExit(argc, argv);
//   if (line.command == "health") return Health(line.arguments, options);
//
// Thread rule: main, before threads are started.
// Lifetime: the variables outlive the set. A variable's value at the time of Add is the flag's default.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"

namespace hive {

// What was asked for, once all flags have been read.
struct CommandLine {
  std::string command;                 // the command named, or empty
  std::vector<std::string> arguments;  // the words that are neither flags nor the command
  std::optional<int> exit_code;        // set: print `output` (0: to stdout, else to stderr) and exit with this
  std::string output;
};

// A number of bytes as a flag: "64MiB", "1GiB", "4096". A type of its own so that it is not read as a plain number.
struct ByteCount {
  uint64_t bytes = 0;

  friend auto operator<=>(const ByteCount&, const ByteCount&) = default;
};
std::string ToString(ByteCount count);                           // in the largest unit that is exact: "64MiB", "1000"
std::optional<ByteCount> ParseByteCount(std::string_view text);  // digits, then nothing, B, KiB, MiB or GiB

// Durations as Abseil writes them: "250ms", "1.5s", "1m30s".
std::string ToString(Duration duration);
std::optional<Duration> ParseDuration(std::string_view text);

class FlagSet {
 public:
  template <typename T>
  struct Range {
    T low;
    T high;  // included
  };

  // More about the flag that was added last.
  class Added {
   public:
    // Shown by --help in place of the default, where that is found out at start: "the service name in --peers".
    Added& DefaultText(std::string text);
    // Without a value there is no start.
    Added& Required();
    // Not from the environment: for what must be meant each time that it is done.
    Added& OnlyTyped();

   private:
    friend class FlagSet;
    Added(FlagSet& set, size_t index) : set_(set), index_(index) {}
    FlagSet& set_;
    size_t index_;
  };

  FlagSet(std::string program, std::string summary);
  FlagSet(const FlagSet&) = delete;
  FlagSet& operator=(const FlagSet&) = delete;
  ~FlagSet();

  // `name` with dashes, without the leading ones. `help`: what it means, in a few words, without a full stop.
  Added Add(std::string name, bool* value, std::string help);
  Added Add(std::string name, int* value, Range<int> range, std::string help);
  Added Add(std::string name, Duration* value, Range<Duration> range, std::string help);
  Added Add(std::string name, ByteCount* value, Range<ByteCount> range, std::string help);
  Added Add(std::string name, std::string* value, std::string help);
  Added Add(std::string name, Endpoint* value, std::string help);       // IP:PORT
  Added Add(std::string name, ListenAddress* value, std::string help);  // IP:PORT, or PORT for all addresses
  // ... or nothing: --name= turns off what would be served there.
  Added Add(std::string name, std::optional<ListenAddress>* value, std::string help);
  Added AddIp(std::string name, std::string* value, std::string help);  // an IP, brought to canonical form
  // One of a few words.
  Added AddChoice(std::string name, std::string* value, std::vector<std::string> choices, std::string help);
  // Any other form. `form` says what is allowed ("dns:NAME[:PORT] or static:IP:PORT,..."); `parse` stores the value
  // and returns true, or returns false.
  Added AddParsed(std::string name, std::string form, std::function<bool(std::string_view)> parse, std::string help);

  // A command: the first word of the command line that is no flag. Its flags follow it; those of this set do not
  // apply. `arguments` names the words it takes ("SERVICE", "" for none; each is required).
  FlagSet& AddCommand(std::string name, std::string arguments, std::string summary);

  // The value of an environment variable, or nothing.
  using Environment = std::function<std::optional<std::string>(const std::string& name)>;

  // `args` without the program's name. Writes nothing and does not exit: for tests.
  CommandLine Parse(std::span<const std::string> args, const Environment& environment);
  // For main: prints and exits where Parse says so.
  CommandLine ParseOrExit(int argc, char** argv);

  // For rules between flags, after parsing: prints "hive-coordinator: --name=value: what" to stderr and exits 2.
  [[noreturn]] void Refuse(std::string_view name, std::string_view what) const;

  // True when the flag was given a value, by the command line or the environment.
  bool given(std::string_view name) const;

  std::string Help() const;

 private:
  struct Flag {
    std::string name;
    std::string form = {};  // "DURATION", as --help shows it; empty for booleans
    std::string allowed;    // "a duration from 100ms to 1m"
    std::string help;
    std::string default_text;
    std::function<bool(std::string_view)> parse;
    bool is_bool = false;
    bool required = false;
    bool only_typed = false;
    std::string given = {};  // "--name=value" or "HIVE_NAME=value" once it has a value of its own
  };
  struct Command {
    std::string name;
    std::unique_ptr<FlagSet> flags;
  };

  Added AddFlag(Flag flag);
  Flag* Find(std::string_view name);
  const Flag* Find(std::string_view name) const;
  FlagSet* FindCommand(std::string_view name);

  // Each returns what is wrong, or an empty string.
  std::string ReadFlag(std::span<const std::string>& args);  // takes the flag, and its value, off the front
  std::string SetFlag(Flag& flag, std::string_view value, std::string given);
  std::string ReadEnvironment(const Environment& environment);
  std::string CheckRequired() const;
  std::string CheckArguments(const std::vector<std::string>& arguments) const;
  std::string CheckCommand(std::string_view word);
  std::string UnknownFlag(std::string_view name) const;

  CommandLine Complain(const std::string& what) const;

  std::string program_;
  std::string summary_;
  std::string arguments_;  // the words that must be given: "SERVICE"
  std::vector<Flag> flags_;
  std::vector<Command> commands_;
};

}  // namespace hive
