// What decides in a simulated coordinator: the real election core, or a stand-in by which the simulator itself is
// tested.
//
// Thread rule: one thread.
#pragma once

#include <memory>

#include "coordinator/election/config.h"
#include "coordinator/election/core.h"

namespace hive::sim {

class Brain {
 public:
  virtual ~Brain() = default;
  virtual election::Actions Step(Instant now, WallMicros wall, const election::Event& event) = 0;
  virtual Duration TickInterval() const = 0;
  virtual election::State state(Instant now) const = 0;
};

using BrainFactory = std::unique_ptr<Brain> (*)(const election::Config& config);

// The one under test (real_brain.cc).
std::unique_ptr<Brain> MakeCore(const election::Config& config);

}  // namespace hive::sim
