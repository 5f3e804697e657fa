#include "coordinator/replication/reconcile.h"

namespace hive::replication {

std::optional<RedisCommand> Reconcile(const Goal& goal, const RedisStatus& status, bool holds_data) {
  if (status.busy || status.loading) return std::nullopt;
  switch (goal.kind) {
    case Goal::Kind::kUndecided:
      if (status.is_master && !holds_data) return RedisCommand{RedisCommand::Kind::kPark, {}};
      return std::nullopt;
    case Goal::Kind::kParked:
      if (!status.parked()) return RedisCommand{RedisCommand::Kind::kPark, {}};
      return std::nullopt;
    case Goal::Kind::kReplica:
      if (status.is_master || status.master != goal.master)
        return RedisCommand{RedisCommand::Kind::kReplicate, goal.master};
      return std::nullopt;
    case Goal::Kind::kMaster:
      return std::nullopt;
  }
  return std::nullopt;
}

bool InSyncWith(const RedisStatus& status, const Endpoint& master) {
  return !status.is_master && status.master == master && status.link_up && !status.sync_in_progress && !status.loading;
}

}  // namespace hive::replication
