// A stand-in for the election core: says what a test has put in its mouth. Proves the judge and the world without the
// core.
//
// Thread rule: one thread; one Script at a time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/brain.h"

namespace hive::sim {

// What every scripted brain of a test says and has heard, by IP.
struct Script {
  struct Member {
    election::Config config;
    election::State state;
    election::Actions next;              // returned by its next step
    std::vector<election::Event> heard;  // all but ticks
    std::vector<Instant> heard_at;
  };
  std::map<std::string, Member> members;

  Script() { current = this; }
  ~Script() { current = nullptr; }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  template <typename E>
  int Heard(const std::string& ip) const {
    int count = 0;
    for (const election::Event& event : members.at(ip).heard) count += std::holds_alternative<E>(event) ? 1 : 0;
    return count;
  }
  template <typename E>
  const E& Last(const std::string& ip) const {
    const E* last = nullptr;
    for (const election::Event& event : members.at(ip).heard) {
      if (const E* match = std::get_if<E>(&event)) last = match;
    }
    return *last;
  }

  static inline Script* current = nullptr;
};

class ScriptedBrain : public Brain {
 public:
  explicit ScriptedBrain(const election::Config& config) : ip_(config.self.ip) {
    Script::Member& member = Script::current->members[ip_];
    member.config = config;
    member.state.self = config.self;
  }

  election::Actions Step(Instant now, WallMicros, const election::Event& event) override {
    Script::Member& member = Script::current->members[ip_];
    if (!std::holds_alternative<election::Tick>(event)) {
      member.heard.push_back(event);
      member.heard_at.push_back(now);
    }
    return std::exchange(member.next, {});
  }
  Duration TickInterval() const override { return Millis(25); }
  election::State state(Instant) const override { return Script::current->members[ip_].state; }

 private:
  std::string ip_;
};

inline std::unique_ptr<Brain> MakeScripted(const election::Config& config) {
  return std::make_unique<ScriptedBrain>(config);
}

}  // namespace hive::sim
