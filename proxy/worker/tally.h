// What an event loop counts for /metrics. Plain numbers that the loop's thread alone touches; a scrape is told a copy
// (EventLoop::Tell), so that counting costs next to nothing.
//
// Thread rule: value types; an event loop's own belong to its thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "common/base/duration_histogram.h"
#include "common/base/time.h"

namespace hive::proxy {

// How long commands took. Those that were sent in one turn of the loop and answered in another took equally long, as
// the loop's clock tells it, and mostly come one behind the other: they are put into the histogram with one step.
class CommandDurations {
 public:
  void Note(Duration took, uint64_t commands) {
    if (took != took_) {
      histogram_.Observe(took_, std::exchange(commands_, 0));
      took_ = took;
    }
    commands_ += commands;
  }

  DurationHistogram histogram() const {
    DurationHistogram all = histogram_;
    all.Observe(took_, commands_);
    return all;
  }

 private:
  Duration took_{};  // of the latest ...
  uint64_t commands_ = 0;
  DurationHistogram histogram_;  // of those before
};

struct Tally {
  std::array<uint64_t, 3> commands{};   // that clients have sent, by resp::Effect
  CommandDurations durations;           // from the turn in which they were sent to redis to that of the reply
  uint64_t sent_again = 0;              // commands, since their connection to redis had ended
  uint64_t closed_unknown_outcome = 0;  // clients that had a command in flight which may have been executed
  DurationHistogram leader_switches;    // from the end of the right to write to one leader to that to the next
};

// A loop's answer to a scrape: what it has counted, and what there is at this moment.
struct LoopReport {
  Tally tally;
  DurationHistogram ack_rounds;  // --write-acks
  size_t held_commands = 0;      // that wait for a leader, or for the right to write
  size_t lanes = 0;              // connections to redis that clients share
  size_t own_links = 0;          // ... and those of one client each
};

}  // namespace hive::proxy
