// The table: how it is built, and how a name is found in it.
#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/resp/ascii.h"
#include "proxy/resp/command_facts.h"
#include "proxy/resp/resp_value.h"

namespace hive::resp {
namespace {

constexpr size_t kSmallestIndex = 1024;  // slots; enough for redis' own commands

// Of the name, whatever its case: bit 5, which tells upper from lower, counts in no byte. Two words of eight bytes, the
// first and the last, tell redis' names apart well enough; longer ones share their middle.
uint32_t Hash(std::string_view name) {
  constexpr uint64_t kNoCase = 0x2020202020202020;
  constexpr uint64_t kMixer = 0x9e3779b97f4a7c15;  // 2^64 divided by the golden ratio: Knuth's multiplicative hashing
  uint64_t first = 0;
  uint64_t last = 0;
  const size_t part = std::min<size_t>(name.size(), 8);
  std::memcpy(&first, name.data(), part);
  std::memcpy(&last, name.data() + name.size() - part, part);
  const uint64_t mixed = ((first | kNoCase) * kMixer) ^ ((last | kNoCase) + name.size());
  return static_cast<uint32_t>((mixed * kMixer) >> 32);
}

// One row of COMMAND: name, arity, flags, ... and from redis 7 on subcommands as the tenth element.
constexpr size_t kRowName = 0;
constexpr size_t kRowFlags = 2;
constexpr size_t kRowSubcommands = 9;

// Containers hold subcommands, and subcommands hold none.
constexpr int kMaxRowDepth = 2;

bool HasFlag(const Value& row, std::string_view flag) {
  if (row.elements.size() <= kRowFlags) return false;
  const std::vector<Value>& flags = row.elements[kRowFlags].elements;
  return std::any_of(flags.begin(), flags.end(), [flag](const Value& value) { return value.text == flag; });
}

}  // namespace

const CommandRule* CommandTable::Find(std::string_view name) const {
  if (name.empty() || name.size() > kMaxCommandName || index_.empty()) return nullptr;
  const size_t mask = index_.size() - 1;
  for (size_t slot = Hash(name) & mask; index_[slot] != 0; slot = (slot + 1) & mask) {
    const Entry& entry = entries_[index_[slot] - 1u];
    if (EqualsIgnoringCase(name, entry.name)) return &entry.rule;
  }
  return nullptr;
}

CommandRule& CommandTable::Add(std::string_view name) {
  if (const CommandRule* known = Find(name)) return const_cast<CommandRule&>(*known);
  const size_t bar = name.find('|');
  if (bar != std::string_view::npos) Add(name.substr(0, bar)).arguments = CommandRule::Arguments::kSubcommand;

  Entry& entry = entries_.emplace_back();
  entry.name = name;
  for (char& c : entry.name) c = Lower(c);
  entry.rule.is_subcommand = bar != std::string_view::npos;
  if (index_.size() < entries_.size() * 2) Grow();
  Insert(entries_.size() - 1);
  return entry.rule;
}

void CommandTable::Insert(size_t position) {
  const size_t mask = index_.size() - 1;
  size_t slot = Hash(entries_[position].name) & mask;
  while (index_[slot] != 0) slot = (slot + 1) & mask;
  index_[slot] = static_cast<uint16_t>(position + 1);
}

void CommandTable::Grow() {
  index_.assign(std::max(kSmallestIndex, index_.size() * 2), 0);
  for (size_t i = 0; i + 1 < entries_.size(); ++i) Insert(i);  // the newest is its caller's to insert
}

std::shared_ptr<const CommandTable> CommandTable::BuiltIn() {
  static const std::shared_ptr<const CommandTable> table = [] {
    std::shared_ptr<CommandTable> built(new CommandTable());
    built->AddBuiltIn();
    built->AddHarmless();
    built->AddConnectionCommands();
    built->DecideShareable();
    return built;
  }();
  return table;
}

std::shared_ptr<const CommandTable> CommandTable::FromCommandReply(std::string_view reply, std::string* error) {
  Value value;
  size_t consumed = 0;
  if (ParseValue(reply, &value, &consumed) != ValueStatus::kValue || consumed != reply.size()) {
    *error = "the answer to COMMAND is not one whole RESP reply within the limits";
    return nullptr;
  }
  if (value.is_error()) {
    *error = "the server refused COMMAND: " + value.text;
    return nullptr;
  }
  if (!value.is_aggregate() || value.elements.empty()) {
    *error = "the answer to COMMAND is not a list of commands";
    return nullptr;
  }

  // The list in the code goes last: it wins where both speak.
  std::shared_ptr<CommandTable> built(new CommandTable());
  built->AddHarmless();
  for (const Value& row : value.elements) {
    if (!built->AddRow(row, 1)) {
      *error = "the answer to COMMAND has a row without a name, or too many rows";
      return nullptr;
    }
  }
  built->AddConnectionCommands();
  built->DecideShareable();
  return built;
}

bool CommandTable::AddRow(const Value& row, int depth) {
  if (row.elements.size() <= kRowFlags) return false;
  const std::string& name = row.elements[kRowName].text;
  if (name.empty()) return false;
  // Left out, and so unknown: a write.
  if (name.size() > kMaxCommandName) return true;

  if (entries_.size() >= kMaxCommands) return false;
  CommandRule& rule = Add(name);
  // The flag "write" wins: a name in our list of harmless ones may mean something else here.
  if (HasFlag(row, "readonly")) rule.facts.effect = Effect::kRead;
  if (HasFlag(row, "write")) rule.facts.effect = Effect::kWrite;
  rule.facts.blocks = HasFlag(row, "blocking");

  if (row.elements.size() <= kRowSubcommands || depth >= kMaxRowDepth) return true;
  const std::vector<Value>& subcommands = row.elements[kRowSubcommands].elements;
  return std::all_of(subcommands.begin(), subcommands.end(),
                     [this, depth](const Value& subcommand) { return AddRow(subcommand, depth + 1); });
}

}  // namespace hive::resp
