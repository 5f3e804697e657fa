// Bugs planted on purpose, from outside the core, to prove that the judge sees them: each changes what goes into or
// comes out of a coordinator, or how the proxies behave.
//
// Thread rule: pure functions.
#pragma once

#include <cstdint>

#include "coordinator/election/config.h"
#include "coordinator/election/messages.h"

namespace hive::sim {

enum class PlantedBug : uint8_t {
  kNone,
  kRestartedLooksFull,  // an empty redis is reported as if it held data
  kOthersLookEmpty,     // members are told that every other member is empty and knows no leader
  kProxyIgnoresLease,   // proxies write on whatever claim they last heard
  kHeardIsNow,          // followers pass a claim on as if it had just been heard
  kFollowsAnyClaim,     // a follower's redis is pointed at whatever leader speaks last
  kYieldIsDeaf,         // leaders never hear that they should yield
  kOthersLookBehind,    // members are told that every other member holds next to nothing
};
inline constexpr int kPlantedBugs = static_cast<int>(PlantedBug::kOthersLookBehind) + 1;
const char* Name(PlantedBug bug);
// The promise that the bug breaks: what the judge must name.
const char* BrokenRule(PlantedBug bug);

void MutateEvent(PlantedBug bug, const election::Config& config, election::Event& event);
void MutateActions(PlantedBug bug, const election::Config& config, Instant now, const election::Event& event,
                   election::Actions& actions);

}  // namespace hive::sim
