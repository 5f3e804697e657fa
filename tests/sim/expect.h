// Which of the judge's rules the core under test is held to. All of them are promises of docs/election.md; a rule that
// the core cannot keep yet is off here, and only here.
//
// Thread rule: value type.
#pragma once

#include <string_view>

namespace hive::sim {

struct Expectations {
  bool handover = false;  // leaving and handovers lose nothing, and no client notices; they are answered in time
  bool fencing = false;   // promise 2: one side of a partition takes writes
  bool durable = false;   // promise 5: with enough write acknowledgements one fault loses nothing
  bool discards = false;  // promise 6: what is dropped was reported
  bool orphans = false;   // a coordinator that is lost leaves no writable redis behind
  bool priority = false;  // a member of priority 0 does not stay leader while another can lead

  // Null: there is no such rule.
  bool* Named(std::string_view name) {
    if (name == "handover") return &handover;
    if (name == "fencing") return &fencing;
    if (name == "durable") return &durable;
    if (name == "discards") return &discards;
    if (name == "orphans") return &orphans;
    if (name == "priority") return &priority;
    return nullptr;
  }
  static Expectations All() { return {true, true, true, true, true, true}; }
};

// Today's core.
inline constexpr Expectations kToday{true, true, true, true, true, true};

}  // namespace hive::sim
