#include "common/app/flags.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "common/app/version.h"

namespace hive {
namespace {

constexpr int kExitRefused = 2;

std::optional<std::string> ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

std::string EnvironmentName(std::string_view flag) {
  std::string name = "HIVE_";
  for (const char c : flag) name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

// What a user typed, fit for one line.
std::string Printable(std::string_view text) {
  std::string shown;
  for (const char c : text) shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return shown;
}

std::string OrNone(std::string text) { return text.empty() ? "none" : text; }

// Levenshtein's distance: letters to insert, delete or replace.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

// The word that was probably meant: the nearest, if a third of the letters at most differ. Else empty.
std::string Nearest(std::string_view typed, const std::vector<std::string>& words) {
  std::string nearest;
  size_t best = std::max<size_t>(typed.size() / 3, 1) + 1;
  for (const std::string& word : words) {
    const size_t distance = EditDistance(typed, word);
    if (distance < best) {
      best = distance;
      nearest = word;
    }
  }
  return nearest;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
  return text;
}

bool ParseBool(std::string_view text, bool* value) {
  const bool yes = text == "true" || text == "yes" || text == "1" || text == "on";
  const bool no = text == "false" || text == "no" || text == "0" || text == "off";
  if (yes || no) *value = yes;
  return yes || no;
}

template <typename T>
bool Store(const std::optional<T>& parsed, T* value) {
  if (parsed) *value = *parsed;
  return parsed.has_value();
}

template <typename T>
bool StoreWithin(const std::optional<T>& parsed, const FlagSet::Range<T>& range, T* value) {
  return parsed && *parsed >= range.low && *parsed <= range.high && Store(parsed, value);
}

std::optional<int> ParseInt(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

FlagSet::FlagSet(std::string program, std::string summary)
    : program_(std::move(program)), summary_(std::move(summary)) {}

FlagSet::~FlagSet() = default;

FlagSet::Added& FlagSet::Added::DefaultText(std::string text) {
  set_.flags_[index_].default_text = std::move(text);
  return *this;
}

FlagSet::Added& FlagSet::Added::Required() {
  set_.flags_[index_].required = true;
  return *this;
}

FlagSet::Added& FlagSet::Added::OnlyTyped() {
  set_.flags_[index_].only_typed = true;
  return *this;
}

FlagSet::Added FlagSet::AddFlag(Flag flag) {
  flags_.push_back(std::move(flag));
  return Added(*this, flags_.size() - 1);
}

FlagSet::Added FlagSet::Add(std::string name, bool* value, std::string help) {
  return AddFlag({.name = std::move(name),
                  .allowed = "true or false",
                  .help = std::move(help),
                  .default_text = *value ? "true" : "false",
                  .parse = [value](std::string_view text) { return ParseBool(text, value); },
                  .is_bool = true});
}

FlagSet::Added FlagSet::Add(std::string name, int* value, Range<int> range, std::string help) {
  const std::string allowed = "a whole number from " + std::to_string(range.low) + " to " + std::to_string(range.high);
  return AddFlag({.name = std::move(name),
                  .form = "NUMBER",
                  .allowed = allowed,
                  .help = std::move(help),
                  .default_text = std::to_string(*value),
                  .parse = [=](std::string_view text) { return StoreWithin(ParseInt(text), range, value); }});
}

FlagSet::Added FlagSet::Add(std::string name, Duration* value, Range<Duration> range, std::string help) {
  const std::string allowed =
      "a duration from " + ToString(range.low) + " to " + ToString(range.high) + ", such as 250ms or 1.5s";
  return AddFlag({.name = std::move(name),
                  .form = "DURATION",
                  .allowed = allowed,
                  .help = std::move(help),
                  .default_text = ToString(*value),
                  .parse = [=](std::string_view text) { return StoreWithin(ParseDuration(text), range, value); }});
}

FlagSet::Added FlagSet::Add(std::string name, ByteCount* value, Range<ByteCount> range, std::string help) {
  const std::string allowed =
      "a number of bytes from " + ToString(range.low) + " to " + ToString(range.high) + ", such as 64MiB";
  return AddFlag({.name = std::move(name),
                  .form = "BYTES",
                  .allowed = allowed,
                  .help = std::move(help),
                  .default_text = ToString(*value),
                  .parse = [=](std::string_view text) { return StoreWithin(ParseByteCount(text), range, value); }});
}

FlagSet::Added FlagSet::Add(std::string name, std::string* value, std::string help) {
  const auto parse = [value](std::string_view text) {
    *value = text;
    return true;
  };
  return AddFlag({.name = std::move(name),
                  .form = "TEXT",
                  .allowed = "any text",
                  .help = std::move(help),
                  .default_text = OrNone(*value),
                  .parse = parse});
}

FlagSet::Added FlagSet::Add(std::string name, Endpoint* value, std::string help) {
  return AddFlag({.name = std::move(name),
                  .form = "IP:PORT",
                  .allowed = "IP:PORT, such as 127.0.0.1:6379 or [::1]:6379",
                  .help = std::move(help),
                  .default_text = value->empty() ? "none" : ToString(*value),
                  .parse = [value](std::string_view text) { return Store(ParseEndpoint(text), value); }});
}

FlagSet::Added FlagSet::Add(std::string name, ListenAddress* value, std::string help) {
  return AddFlag({.name = std::move(name),
                  .form = "[IP:]PORT",
                  .allowed = "IP:PORT, or PORT alone for all addresses of both families",
                  .help = std::move(help),
                  .default_text = ToString(*value),
                  .parse = [value](std::string_view text) { return Store(ParseListenAddress(text), value); }});
}

FlagSet::Added FlagSet::Add(std::string name, std::optional<ListenAddress>* value, std::string help) {
  const auto parse = [value](std::string_view text) {
    const std::optional<ListenAddress> address = ParseListenAddress(text);
    if (!address && !text.empty()) return false;
    *value = address;
    return true;
  };
  return AddFlag({.name = std::move(name),
                  .form = "[IP:]PORT",
                  .allowed = "IP:PORT, or PORT alone for all addresses of both families, or nothing to turn it off",
                  .help = std::move(help),
                  .default_text = *value ? ToString(**value) : "off",
                  .parse = parse});
}

FlagSet::Added FlagSet::AddIp(std::string name, std::string* value, std::string help) {
  return AddFlag({.name = std::move(name),
                  .form = "IP",
                  .allowed = "an IP address, such as 10.0.0.1 or fd00::1",
                  .help = std::move(help),
                  .default_text = OrNone(*value),
                  .parse = [value](std::string_view text) { return Store(CanonicalIp(text), value); }});
}

FlagSet::Added FlagSet::AddChoice(std::string name, std::string* value, std::vector<std::string> choices,
                                  std::string help) {
  const std::string allowed = Joined(choices);
  const auto parse = [value, choices = std::move(choices)](std::string_view text) {
    if (std::find(choices.begin(), choices.end(), text) == choices.end()) return false;
    *value = text;
    return true;
  };
  return AddFlag({.name = std::move(name),
                  .form = "WORD",
                  .allowed = allowed,
                  .help = std::move(help),
                  .default_text = OrNone(*value),
                  .parse = parse});
}

FlagSet::Added FlagSet::AddParsed(std::string name, std::string form, std::function<bool(std::string_view)> parse,
                                  std::string help) {
  return AddFlag({.name = std::move(name),
                  .form = "VALUE",
                  .allowed = std::move(form),
                  .help = std::move(help),
                  .default_text = "none",
                  .parse = std::move(parse)});
}

FlagSet& FlagSet::AddCommand(std::string name, std::string arguments, std::string summary) {
  auto flags = std::make_unique<FlagSet>(program_ + " " + name, std::move(summary));
  flags->arguments_ = std::move(arguments);
  commands_.push_back({std::move(name), std::move(flags)});
  return *commands_.back().flags;
}

FlagSet::Flag* FlagSet::Find(std::string_view name) {
  const auto found = std::find_if(flags_.begin(), flags_.end(), [name](const Flag& flag) { return flag.name == name; });
  return found == flags_.end() ? nullptr : &*found;
}

const FlagSet::Flag* FlagSet::Find(std::string_view name) const { return const_cast<FlagSet*>(this)->Find(name); }

FlagSet* FlagSet::FindCommand(std::string_view name) {
  for (Command& command : commands_) {
    if (command.name == name) return command.flags.get();
  }
  return nullptr;
}

bool FlagSet::given(std::string_view name) const {
  const Flag* flag = Find(name);
  return flag != nullptr && !flag->given.empty();
}

std::string FlagSet::UnknownFlag(std::string_view name) const {
  const std::string dashed = "--" + Printable(name);
  for (const Command& command : commands_) {
    if (command.flags->Find(name) == nullptr) continue;
    return dashed + ": a flag of '" + command.name + "': write it after that word";
  }
  std::vector<std::string> names;
  for (const Flag& flag : flags_) names.push_back(flag.name);
  const std::string nearest = Nearest(name, names);
  return dashed + ": unknown flag; " + (nearest.empty() ? "" : "did you mean --" + nearest + "? ") + "--help lists all";
}

std::string FlagSet::SetFlag(Flag& flag, std::string_view value, std::string given) {
  flag.given = std::move(given);
  return flag.parse(value) ? "" : flag.given + ": must be " + flag.allowed;
}

std::string FlagSet::ReadFlag(std::span<const std::string>& args) {
  const std::string_view whole = args.front();
  args = args.subspan(1);
  const std::string_view body = whole.substr(whole.starts_with("--") ? 2 : 1);
  const size_t equals = body.find('=');
  std::string name(body.substr(0, equals));
  std::replace(name.begin(), name.end(), '_', '-');

  Flag* flag = Find(name);
  if (flag != nullptr && equals != std::string_view::npos) {
    const std::string_view value = body.substr(equals + 1);
    return SetFlag(*flag, value, "--" + name + "=" + Printable(value));
  }
  if (flag != nullptr && flag->is_bool) return SetFlag(*flag, "true", "--" + name);
  if (flag != nullptr) {
    if (args.empty() || args.front().starts_with("--")) return "--" + name + ": needs a value: " + flag->allowed;
    const std::string_view value = args.front();
    args = args.subspan(1);
    return SetFlag(*flag, value, "--" + name + "=" + Printable(value));
  }
  if (name.starts_with("no") && equals == std::string_view::npos) {
    Flag* negated = Find(std::string_view(name).substr(name.starts_with("no-") ? 3 : 2));
    if (negated != nullptr && negated->is_bool) return SetFlag(*negated, "false", "--" + name);
  }
  return UnknownFlag(name);
}

std::string FlagSet::ReadEnvironment(const Environment& environment) {
  for (Flag& flag : flags_) {
    if (!flag.given.empty() || flag.only_typed) continue;  // the command line wins
    const std::string name = EnvironmentName(flag.name);
    const std::optional<std::string> value = environment(name);
    if (!value || value->empty()) continue;
    const std::string error = SetFlag(flag, *value, name + "=" + Printable(*value));
    if (!error.empty()) return error + " (environment)";
  }
  return "";
}

std::string FlagSet::CheckRequired() const {
  for (const Flag& flag : flags_) {
    if (flag.required && flag.given.empty()) return "--" + flag.name + " is required: " + flag.allowed;
  }
  return "";
}

std::string FlagSet::CheckArguments(const std::vector<std::string>& arguments) const {
  const size_t wanted =
      arguments_.empty() ? 0 : 1 + static_cast<size_t>(std::count(arguments_.begin(), arguments_.end(), ' '));
  if (arguments.size() < wanted) return "needs " + arguments_ + "; --help says more";
  if (arguments.size() > wanted) {
    return "'" + Printable(arguments[wanted]) + "' is not understood: flags begin with --; --help lists all";
  }
  return "";
}

std::string FlagSet::CheckCommand(std::string_view word) {
  if (FindCommand(word) == nullptr) {
    std::vector<std::string> names;
    for (const Command& command : commands_) names.push_back(command.name);
    return "'" + Printable(word) + "' is no command: those are " + Joined(names) + "; --help says more";
  }
  for (const Flag& flag : flags_) {
    if (!flag.given.empty()) return flag.given + ": not for '" + std::string(word) + "', whose flags follow it";
  }
  return "";
}

CommandLine FlagSet::Complain(const std::string& what) const {
  CommandLine line;
  line.exit_code = kExitRefused;
  line.output = program_ + ": " + what + "\n";
  return line;
}

CommandLine FlagSet::Parse(std::span<const std::string> args, const Environment& environment) {
  for (Flag& flag : flags_) flag.given.clear();
  CommandLine line;
  FlagSet* set = this;  // the one whose flags are read: this one, then the command's
  bool flags_ended = false;
  while (!args.empty()) {
    const std::string& arg = args.front();
    if (!flags_ended && arg.size() > 1 && arg[0] == '-') {
      const bool help = arg == "--help" || arg == "-h" || arg == "-help" || arg == "-?";
      if (help || arg == "--version" || arg == "-version") {
        line.exit_code = 0;
        line.output = help ? set->Help() : program_ + " " + std::string(Version()) + "\n";
        return line;
      }
      if (arg == "--") {
        flags_ended = true;
        args = args.subspan(1);
        continue;
      }
      const std::string error = set->ReadFlag(args);
      if (!error.empty()) return set->Complain(error);
      continue;
    }
    if (set == this && !commands_.empty()) {
      const std::string error = CheckCommand(arg);
      if (!error.empty()) return Complain(error);
      line.command = arg;
      set = FindCommand(arg);
      for (Flag& flag : set->flags_) flag.given.clear();
    } else {
      line.arguments.push_back(arg);
    }
    args = args.subspan(1);
  }
  for (const std::string& error :
       {set->CheckArguments(line.arguments), set->ReadEnvironment(environment), set->CheckRequired()}) {
    if (!error.empty()) return set->Complain(error);
  }
  return line;
}

CommandLine FlagSet::ParseOrExit(int argc, char** argv) {
  const std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  CommandLine line = Parse(args, &ProcessEnvironment);
  if (line.exit_code) {
    std::fputs(line.output.c_str(), *line.exit_code == 0 ? stdout : stderr);
    std::exit(*line.exit_code);
  }
  return line;
}

void FlagSet::Refuse(std::string_view name, std::string_view what) const {
  const Flag* flag = Find(name);
  std::string subject = "--" + std::string(name);
  if (flag != nullptr && !flag->given.empty()) subject = flag->given;
  if (flag != nullptr && flag->given.empty()) subject += " (default " + flag->default_text + ")";
  std::fputs(Complain(subject + ": " + std::string(what)).output.c_str(), stderr);
  std::exit(kExitRefused);
}

std::string FlagSet::Help() const {
  std::string text = program_ + ": " + summary_ + "\n\nUsage: " + program_ + (arguments_.empty() ? "" : " ") +
                     arguments_ + " [--flag=value ...]\n";
  for (const Command& command : commands_) {
    text += "       " + command.flags->program_ + (command.flags->arguments_.empty() ? "" : " ") +
            command.flags->arguments_ + " [--flag=value ...]\n           " + command.flags->summary_ +
            "; its flags: " + command.flags->program_ + " --help\n";
  }
  text += "\nFlags; each also from the environment, where --some-flag is HIVE_SOME_FLAG; the command line wins:\n";
  for (const Flag& flag : flags_) {
    text += "  --" + flag.name + (flag.is_bool ? "" : "=" + flag.form) + "\n      " + flag.help + "\n      " +
            (flag.required ? "required" : "default: " + flag.default_text) + "; " + flag.allowed +
            (flag.only_typed ? "; not from the environment" : "") + "\n";
  }
  return text + "  --help\n      print this and exit\n  --version\n      print the version and exit\n";
}

}  // namespace hive
