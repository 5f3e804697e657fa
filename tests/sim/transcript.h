// What happened, one line an event, for a reader. Kept only when asked for: a schedule that fails is run again with it,
// which shows the same, since everything is drawn from the seed.
//
// Thread rule: one thread.
#pragma once

#include <cstdio>
#include <deque>
#include <string>

#include "tests/sim/event_queue.h"

namespace hive::sim {

class Transcript {
 public:
  // Keeps the last `lines` lines; 0 keeps none, and on() is false. `echo`: prints each line as well.
  explicit Transcript(size_t lines = 0, bool echo = false) : limit_(lines), echo_(echo) {}

  // Ask before building a line: building costs more than all the rest.
  bool on() const { return limit_ > 0; }

  void Add(SimTime now, const std::string& who, const std::string& what) {
    if (!on()) return;
    char head[32];
    std::snprintf(head, sizeof head, "%10.3f ms  ", static_cast<double>(now.count()) / 1e6);
    std::string line = head + who;
    if (who.size() < 12) line.append(12 - who.size(), ' ');
    line += what;
    if (echo_) std::printf("%s\n", line.c_str());
    lines_.push_back(std::move(line));
    if (lines_.size() > limit_) lines_.pop_front();
  }

  const std::deque<std::string>& lines() const { return lines_; }

 private:
  size_t limit_;
  bool echo_;
  std::deque<std::string> lines_;
};

}  // namespace hive::sim
