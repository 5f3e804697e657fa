// Bugs planted on purpose, from outside the core, to prove that the judge sees them: each changes what goes into or
// comes out of a coordinator, or how the proxies behave.
//
// Thread rule: pure functions, but for the notes.
#pragma once

#include <cstdint>

#include "coordinator/election/config.h"
#include "coordinator/election/core.h"
#include "coordinator/election/events.h"

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
  kIgnoresDoubt,        // nobody remembers whom it has heard, so nobody doubts
  kIgnoresFence,        // leaders say open where they mean hold or fenced, and fence no redis
  kNoHold,              // nobody is told of a handover: neither by the leader (HOLD) nor by its successor
  kLeavesAtOnce,        // a process that is told to stop stops
  kTakesOverBehind,     // neither leader nor successor looks whether the successor has everything
  kTakeoverNoCatchUp,   // whoever takes over from a lost leader's redis takes that one for empty-handed
  kKeyInvertsAge,       // of two leaders' datasets the younger one looks older
  kLineageForgotten,    // nobody tells the others of promotions after the first
  kLeaseFromReceipt,    // proxies count their lease from the answer, not from the question
  kBufferedBeatsRenew,  // followers count from the beat, not from the report that it echoes
  kForgetsDiscards,     // what is dropped is not counted
  kFollowersUncounted,  // --min-followers is not passed on
  kPriorityUnknown,     // --priority is not passed on
  kAnyHive,             // the hive's name in messages is not looked at
  kHidesRefusals,       // what redis refuses is not shown
  kHidesGivenUp,        // whom a member that is told to lead by force gives up is not said
};
inline constexpr int kPlantedBugs = static_cast<int>(PlantedBug::kHidesGivenUp) + 1;
const char* Name(PlantedBug bug);
// The promise that the bug breaks: what the judge must name.
const char* BrokenRule(PlantedBug bug);

// What a plant must remember of one coordinator.
struct PlantedNotes {
  uint64_t last_report = 0;
};

void MutateConfig(PlantedBug bug, election::Config& config);
void MutateState(PlantedBug bug, election::State& state);
void MutateEvent(PlantedBug bug, const election::Config& config, const PlantedNotes& notes, election::Event& event);
void MutateActions(PlantedBug bug, const election::Config& config, Instant now, const election::Event& event,
                   PlantedNotes& notes, election::Actions& actions);

}  // namespace hive::sim
