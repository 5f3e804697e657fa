// One schedule from begin to end: a safety phase in which the drawn faults fall, then a heal, then a liveness phase in
// which promise 4 is demanded.
//
// Thread rule: pure function of its arguments.
#pragma once

#include <optional>
#include <string>

#include "tests/sim/brain.h"
#include "tests/sim/clients.h"
#include "tests/sim/judge.h"
#include "tests/sim/options.h"
#include "tests/sim/planted.h"
#include "tests/sim/transcript.h"

namespace hive::sim {

struct Outcome {
  std::optional<Violation> violation;
  SimTime simulated{0};
  Duration converged_after{0};  // from the heal
  uint64_t elections = 0;
  uint64_t promotions = 0;
  uint64_t full_syncs = 0;
  uint64_t partial_syncs = 0;
  uint64_t steps = 0;
  Clients::Counts clients;
  uint64_t acknowledged_and_lost = 0;
  uint64_t handovers = 0;
  uint64_t takeovers = 0;
  uint64_t fences = 0;
  uint64_t drops = 0;   // of data, by a resync
  uint64_t forced = 0;  // leaderships
};

Outcome Simulate(const Options& options, BrainFactory factory, PlantedBug bug, Transcript& transcript);

// How long after the heal promise 4 allows, each allowance with its reason (docs/simulator.md).
Duration ConvergenceBound(const Options& options, bool all_empty);

}  // namespace hive::sim
