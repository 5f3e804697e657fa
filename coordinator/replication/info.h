// Reads what redis says of itself: the text of INFO.
//
// Source: redis.io/commands/info; checked against redis 5, 6 and 7 and Valkey 8 (which calls itself redis_version too).
// Thread rule: pure functions.
#pragma once

#include <optional>
#include <string_view>

#include "coordinator/replication/redis_status.h"

namespace hive::replication {

// `text`: the INFO of sections server, replication, persistence and keyspace, or of all. Unknown fields are skipped,
// missing ones keep their defaults; nothing when `text` is no INFO at all (no run_id or no role).
//
// `offset` is master_repl_offset, of a replica too: from redis 4 on it counts what has been processed.
// slave_repl_offset will not do: parked, a redis that never synced says 1 there, and a former master one more than it
// holds. A master's stays 0 until it has had a replica. `master` of a replica whose master was named by a host name is
// that name.
std::optional<RedisStatus> ParseInfo(std::string_view text);

// The first number of "7.0.15"; 0 when there is none.
int MajorVersion(std::string_view version);

// "6.2.1" is at least 6.2, and so is "7.0.15". An unknown version is not.
bool IsAtLeast(std::string_view version, int major, int minor);

}  // namespace hive::replication
