#include "coordinator/election/local_redis.h"

#include "coordinator/election/standing.h"

namespace hive::election {

bool LocalRedis::OnReport(const RedisStatus& status, const std::optional<Memory>& memory) {
  const bool another_run = known() && status.run_id != status_.run_id;
  up_ = true;
  if (status.busy && !another_run && known()) {
    OnRefusal();  // the rest of a busy redis's answer is stale
    return false;
  }
  if (!known() || another_run) holds_data_ = memory && memory->run_id == status.run_id && memory->has_data;
  status_ = status;
  certain_ = !status.busy && !status.loading;
  const bool synced = !status.is_master && !status.parked() && status.link_up && !status.sync_in_progress;
  if (!status.loading && (status.keys > 0 || status.offset > 0 || synced)) holds_data_ = true;
  return another_run;
}

void LocalRedis::OnLost() {
  up_ = false;
  certain_ = true;  // its process is gone, and what it held with it
  status_.link_up = false;
}

void LocalRedis::OnMute() {
  up_ = false;
  certain_ = false;
}

void LocalRedis::OnRefusal() {
  status_.busy = true;
  certain_ = false;
}

Standing LocalRedis::standing(const Lineage& lineage) const {
  Standing standing;
  standing.available = up_ && !status_.loading && !status_.busy;
  standing.empty = !holds_data_ && certain_;
  standing.term = TermHeld(lineage, status_);
  standing.offset = status_.offset;
  standing.keys = status_.keys;
  return standing;
}

}  // namespace hive::election
