// From a request to its facts: what the name says, refined by the arguments where they matter.
#include "proxy/resp/command_facts.h"

#include <algorithm>
#include <iterator>

#include "proxy/resp/ascii.h"

namespace hive::resp {
namespace {

// The settings that the coordinators own, under their names of today and of before redis 5. Redis takes them in any
// case.
bool IsReplicationSetting(std::string_view setting) {
  constexpr std::string_view kNames[] = {"replicaof", "slaveof", "masterauth", "masteruser"};
  constexpr std::string_view kPrefixes[] = {"min-replicas-", "min-slaves-", "replica-", "slave-", "repl-"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [setting](std::string_view name) { return EqualsIgnoringCase(setting, name); }) ||
         std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [setting](std::string_view prefix) { return StartsWithIgnoringCase(setting, prefix); });
}

// CONFIG SET setting value [setting value ...]; CONFIG SET takes several since redis 7.
void RefineConfigSet(const Request& request, CommandFacts* facts) {
  ArgumentReader reader(request);
  std::string_view argument;
  for (uint32_t i = 0; reader.Next(&argument); ++i) {
    const bool is_setting = i >= 2 && i % 2 == 0;
    if (is_setting && IsReplicationSetting(argument)) {
      facts->refusal = Refusal::kReplicationSetting;
      return;
    }
  }
  facts->certain = request.arguments_seen() == request.argument_count();
}

// XREAD [COUNT n] [BLOCK ms] STREAMS ..., XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] [NOACK] STREAMS ...
// As redis, the last BLOCK counts.
void RefineXread(const Request& request, CommandFacts* facts) {
  ArgumentReader reader(request);
  std::string_view argument;
  reader.Next(&argument);
  uint32_t skip = 0;  // values of the option before
  for (uint32_t i = 1; reader.Next(&argument); ++i) {
    if (skip > 0) {
      --skip;
    } else if (EqualsIgnoringCase(argument, "streams")) {
      return;
    } else if (EqualsIgnoringCase(argument, "block")) {
      facts->blocks = true;
      facts->timeout_argument = i + 1;
      skip = 1;
    } else if (EqualsIgnoringCase(argument, "count")) {
      skip = 1;
    } else if (EqualsIgnoringCase(argument, "group")) {
      skip = 2;
    }
  }
  facts->certain = request.arguments_seen() == request.argument_count();
}

// "name|subcommand" on the stack; empty when it is too long to be known.
std::string_view JoinNames(std::string_view name, std::string_view subcommand, char (&buffer)[kMaxCommandName]) {
  const size_t size = name.size() + 1 + subcommand.size();
  if (size > kMaxCommandName) return {};
  std::copy(name.begin(), name.end(), buffer);
  buffer[name.size()] = '|';
  std::copy(subcommand.begin(), subcommand.end(), buffer + name.size() + 1);
  return {buffer, size};
}

}  // namespace

CommandFacts CommandTable::Classify(const Request& request) const {
  CommandFacts unknown;
  unknown.certain = request.arguments_seen() > 0;
  if (!unknown.certain) return unknown;

  const CommandRule* rule = Find(request.name());
  if (rule == nullptr || rule->is_subcommand) return unknown;
  if (rule->arguments == CommandRule::Arguments::kSubcommand && request.argument_count() > 1) {
    if (request.arguments_seen() < 2) {
      unknown.certain = false;
      return unknown;
    }
    char buffer[kMaxCommandName];
    const std::string_view joined = JoinNames(request.name(), request.argument(1), buffer);
    // Servers before redis 7 do not list subcommands: then what is said of the container holds.
    if (const CommandRule* subcommand = joined.empty() ? nullptr : Find(joined)) rule = subcommand;
  }

  CommandFacts facts = rule->facts;
  switch (rule->arguments) {
    case CommandRule::Arguments::kIrrelevant:
    case CommandRule::Arguments::kSubcommand:
      break;
    case CommandRule::Arguments::kTimeoutLast:
      facts.timeout_argument = request.argument_count() - 1;
      break;
    case CommandRule::Arguments::kXread:
    case CommandRule::Arguments::kXreadGroup:
      RefineXread(request, &facts);
      break;
    case CommandRule::Arguments::kConfigSet:
      RefineConfigSet(request, &facts);
      break;
  }
  // Too few arguments: the server will say so.
  if (facts.timeout_argument >= request.argument_count()) facts.timeout_argument = 0;
  facts.shareable = facts.shareable && !facts.blocks && facts.refusal == Refusal::kNone;
  return facts;
}

}  // namespace hive::resp
