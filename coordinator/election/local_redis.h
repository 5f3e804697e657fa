// What this member knows of its own redis: whether it answers, and whether this run of it holds data.
//
// Thread rule: the core's thread.
#pragma once

#include <optional>

#include "coordinator/election/events.h"

namespace hive::election {

class LocalRedis {
 public:
  // What reached the core: a new reading. Returns true when another redis run answers than before.
  bool OnReport(const RedisStatus& status, const std::optional<Memory>& memory);
  void OnLost();     // not reachable: refused, or never there
  void OnMute();     // connected, but has not answered for redis_timeout
  void OnRefusal();  // answered a command, or INFO, with an error: until the next reading it may hold anything

  // This run was promoted: whatever it holds is the dataset now.
  void MarkPromoted() { holds_data_ = true; }

  bool known() const { return !status_.run_id.empty(); }  // has answered once
  bool up() const { return up_; }                         // answers now
  bool holds_data() const { return holds_data_; }
  const RedisStatus& status() const { return status_; }

  // In a dataset with this lineage. Until it has been read, while it loads, and after it was busy, mute or refused a
  // command, it counts as holding data: it may.
  Standing standing(const Lineage& lineage) const;

 private:
  RedisStatus status_;
  bool up_ = false;
  bool holds_data_ = false;
  bool certain_ = false;  // the last reading says whether it holds data
};

}  // namespace hive::election
