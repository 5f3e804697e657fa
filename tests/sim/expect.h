// Which of the judge's rules the core under test is held to: all of them, but for a world whose members do not know the
// protocol, or for a search for one kind of objection.
//
// Thread rule: value type.
#pragma once

#include <string_view>

namespace hive::sim {

struct Expectations {
  bool handover = true;  // leaving and handovers lose nothing, and no client notices; they are answered in time
  bool fencing = true;   // promise 2: one side of a partition takes writes
  bool durable = true;   // promise 5: with enough write acknowledgements one fault loses nothing
  bool discards = true;  // promise 6: what is dropped was reported
  bool orphans = true;   // a coordinator that is lost leaves no writable redis behind
  bool priority = true;  // a member of priority 0 does not stay leader while another can lead

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
  static Expectations None() { return {false, false, false, false, false, false}; }
};

}  // namespace hive::sim
