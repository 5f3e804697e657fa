// What an election core is told at its start, and never changes.
//
// Thread rule: value type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/time.h"
#include "coordinator/election/events.h"

namespace hive::election {

struct Config {
  std::string hive;
  Identity self;
  Endpoint coordinator;  // this member's, on the advertised IP
  Endpoint redis;        // this member's, as others reach it
  uint64_t seed = 0;     // for dataset origins
  std::string version;   // of this binary, as others are told

  Duration beat_interval = Millis(200);
  Duration leader_timeout = Seconds(1);
  Duration election_window = Millis(300);
  Duration redis_timeout = Seconds(2);
  Duration bootstrap_settle = Seconds(2);
  Duration empty_wait = Seconds(60);
  Duration dial_window = Millis(100);
  Duration doubt_timeout = Seconds(30);
  Duration handover_timeout = Seconds(5);
  Duration takeover_timeout = Millis(300);
  int priority = 100;            // 0: never leads while another member can
  int min_followers = 0;         // fewer in sync: writes are fenced
  bool defer_to_fresher = true;  // false: only an empty redis defers

  std::optional<Memory> memory;  // what the last run of this coordinator left in --state-dir
};

}  // namespace hive::election
