// Carries out what the core commands, on an open connection to a redis: the local one's agent and the visitor of other
// members' redises do it in the same way.
//
// A command, what verifies it and the INFO after it travel in one write: a switch of roles waits for them.
//
// Thread rule: one thread. Blocks as the connection does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "coordinator/adapters/redis_connection.h"
#include "coordinator/replication/redis_status.h"

namespace hive::coordinator {

// The INFO that tells a RedisStatus. `version` is redis's, as far as it is known: several sections at once are
// understood from redis 7 on.
std::vector<std::string> InfoCommand(std::string_view version);

// What became of a command.
struct Carried {
  bool answered = false;  // false: the connection is closed (see failure()), and the command may have taken effect
  // "REPLICAOF NO ONE: NOPERM this user has ...": redis did not obey. Nothing = it did.
  std::optional<std::string> refusal;
  std::string complaint;  // it obeyed, but something beside it was refused: one line, in redis's words
  RedisReply info;        // what INFO said afterwards
};

// `known`: what redis last said of itself.
Carried CarryOut(RedisConnection& connection, const replication::RedisCommand& command,
                 const replication::RedisStatus& known, Duration window);

// Takes an INFO's reply into `status`. False when it makes no sense or is an error; -LOADING and -BUSY are flags of
// what was known before.
bool TakeInfo(const RedisReply& info, replication::RedisStatus& status);

}  // namespace hive::coordinator
