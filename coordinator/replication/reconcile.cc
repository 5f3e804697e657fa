#include "coordinator/replication/reconcile.h"

namespace hive::replication {

namespace {

// A fence outlives a coordinator that crashed behind it: promotion takes it down, or this does.
std::optional<RedisCommand> Fence(const Goal& goal, const RedisStatus& status) {
  if (!status.is_master || status.fenced == goal.fenced) return std::nullopt;
  if (goal.kind == Goal::Kind::kUndecided && !goal.fenced) return std::nullopt;  // whoever is promoted takes it down
  return RedisCommand{goal.fenced ? RedisCommand::Kind::kFence : RedisCommand::Kind::kUnfence, {}};
}

}  // namespace

std::optional<RedisCommand> Reconcile(const Goal& goal, const RedisStatus& status, bool holds_data) {
  if (status.busy || status.loading) return std::nullopt;
  switch (goal.kind) {
    case Goal::Kind::kUndecided:
      if (status.is_master && !holds_data) return RedisCommand{RedisCommand::Kind::kPark, {}};
      return Fence(goal, status);
    case Goal::Kind::kParked:
      if (!status.parked()) return RedisCommand{RedisCommand::Kind::kPark, {}};
      return std::nullopt;
    case Goal::Kind::kReplica:
      // What it holds beyond the leader is measured before it goes: nothing may be added any more.
      if (status.is_master && holds_data && goal.fenced && !status.fenced)
        return RedisCommand{RedisCommand::Kind::kFence, {}};
      if (status.is_master || status.master != goal.master)
        return RedisCommand{RedisCommand::Kind::kReplicate, goal.master};
      return std::nullopt;
    case Goal::Kind::kMaster:
      return Fence(goal, status);
  }
  return std::nullopt;
}

bool InSyncWith(const RedisStatus& status, const Endpoint& master) {
  return !status.is_master && status.master == master && status.link_up && !status.sync_in_progress && !status.loading;
}

}  // namespace hive::replication
