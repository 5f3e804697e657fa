// The timeout of a blocking command: read it, and write the command again with the time that is left, for a client that
// goes on waiting at the next leader.
//
// Thread rule: free functions.
#pragma once

#include <optional>
#include <string>

#include "common/base/time.h"
#include "proxy/resp/command_facts.h"
#include "proxy/resp/request_scanner.h"

namespace hive::resp {

// How long the command is willing to wait; zero: for ever. Nothing when it has no timeout that is known, the argument
// is not in sight, or it is no number that redis takes: then the server's answer comes at once.
std::optional<Duration> BlockingTimeout(const Request& request, const CommandFacts& facts);

// The command with `left` in place of its timeout, as a multibulk. `left` is rounded up to a whole millisecond, and is
// at least one: zero would mean for ever. Requires BlockingTimeout() to have a value and the request to be complete.
std::string WithTimeout(const Request& request, const CommandFacts& facts, Duration left);

}  // namespace hive::resp
