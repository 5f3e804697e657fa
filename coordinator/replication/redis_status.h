// What is known of the local redis, and what it can be told.
//
// Thread rule: value types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"

namespace hive::replication {

// Where a parked redis "replicates" from: nobody listens there. It keeps its data, takes no writes, and refuses PSYNC.
inline const Endpoint kNobody{"127.0.0.1", 1};

// What INFO (server, persistence, replication, keyspace) says of the local redis.
struct RedisStatus {
  std::string run_id;
  std::string version;
  bool loading = false;  // answers -LOADING: the rest may be stale
  bool busy = false;     // answers -BUSY: alive, the rest is stale
  bool is_master = false;
  Endpoint master;                // of a replica; kNobody when parked
  bool link_up = false;           // of a replica: master_link_status:up
  bool sync_in_progress = false;  // of a replica: a full resync is running
  std::string replication_id;
  std::string second_replication_id;  // empty = none (redis says forty zeros)
  int64_t second_offset = 0;          // first offset that is not of the second history; 0 = none
  int64_t offset = 0;                 // master_repl_offset, bytes
  int64_t keys = 0;                   // summed over all databases
  Duration uptime{0};
  bool fenced = false;  // min-replicas-to-write is set (INFO shows min_slaves_good_slaves)

  bool parked() const { return !is_master && master == kNobody; }
  friend bool operator==(const RedisStatus&, const RedisStatus&) = default;
};

// What the local redis is told. Each is followed by an INFO on the same connection.
struct RedisCommand {
  enum class Kind : uint8_t {
    kRead,        // INFO only
    kPark,        // REPLICAOF 127.0.0.1 1
    kPromote,     // REPLICAOF NO ONE, verified with ROLE
    kReplicate,   // REPLICAOF `master`
    kServeStale,  // CONFIG SET replica-serve-stale-data yes: it has data worth reading now
    kPause,       // CLIENT PAUSE `limit` WRITE (before redis 6.2 as kFence: its CLIENT PAUSE would stop us, too)
    kUnpause,     // CLIENT UNPAUSE (before redis 6.2 as kUnfence)
    kFence,       // CONFIG SET min-replicas-to-write 99: refuses writes, whoever sends them
    kUnfence,     // CONFIG SET min-replicas-to-write 0
  } kind = Kind::kRead;
  Endpoint master;    // kReplicate
  Duration limit{0};  // kPause

  friend bool operator==(const RedisCommand&, const RedisCommand&) = default;
};

// The words that a redis of `version` ("7.0.15") understands; none for kRead. A pause lasts at least 1 ms.
std::vector<std::string> Spell(const RedisCommand& command, std::string_view version);

// The command as redis spells it, for logs: "REPLICAOF 10.0.0.1 6379".
std::string ToString(const RedisCommand& command);

}  // namespace hive::replication
