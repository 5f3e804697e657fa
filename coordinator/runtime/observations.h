// What can be told of a member's history by what passes through its runtime: for metrics.
//
// Thread rule: value type; written by the runtime's thread.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/time.h"
#include "coordinator/election/events.h"

namespace hive::coordinator {

class Observations {
 public:
  // Nobody leads, as far as this member knows, until it publishes that somebody does.
  explicit Observations(Instant begun = {}) : leaderless_since_(begun) {}

  void Heard(const election::Event& event);
  void Published(const election::LeaderView& view, Instant now);

  // How long it has known no leader, all in all.
  Duration Leaderless(Instant now) const;
  // Questions to DNS that did not list the members.
  uint64_t dns_failures() const { return dns_failures_; }

 private:
  uint64_t dns_failures_ = 0;
  Duration leaderless_{0};  // up to leaderless_since_
  std::optional<Instant> leaderless_since_;
};

}  // namespace hive::coordinator
