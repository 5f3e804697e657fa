// The one owner of role changes: compares what INFO says of the local redis with what it should be, and names the
// command that repairs it. Pure. See docs/election.md, "One owner of role changes".
//
// Thread rule: pure functions.
#pragma once

#include <optional>

#include "common/base/endpoint.h"
#include "coordinator/replication/redis_status.h"

namespace hive::replication {

// What the local redis should be.
struct Goal {
  enum class Kind : uint8_t {
    kUndecided,  // no leader is known: left as it is, but an empty redis must not feed anybody
    kParked,     // a winner is promoting itself
    kReplica,    // of `master`
    kMaster,     // this member leads; a redis that is no master any more is never promoted again: its leader resigns
  } kind = Kind::kUndecided;
  Endpoint master;      // kReplica
  bool fenced = false;  // while it is a master it refuses writes, whoever sends them

  friend bool operator==(const Goal&, const Goal&) = default;
};

// The next command, or nothing when `status` is as it should be (or cannot be told: loading, busy).
// `holds_data`: this redis run was promoted, has completed a sync, or loaded something.
std::optional<RedisCommand> Reconcile(const Goal& goal, const RedisStatus& status, bool holds_data);

// True when the redis replicates `master` and its link is up with no full resync under way.
bool InSyncWith(const RedisStatus& status, const Endpoint& master);

}  // namespace hive::replication
