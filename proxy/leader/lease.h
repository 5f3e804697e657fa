// The lease: for how long a proxy may act on the last claim it heard.
//
// A lease counts from when the *question* was sent, and for how long it then waited at the coordinator for its answer;
// not from when the answer came: one that lay in a buffer while a process slept renews nothing (docs/election.md,
// "heard"). The claim may be older than the answer, since a follower passes on what its leader said; that age is
// subtracted.
//
// Thread rule: value types, no clock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "common/base/time.h"

namespace hive::proxy {

// Remembers when the numbered questions of one watch stream were sent.
class SentTimes {
 public:
  // An answer to a question older than this many is worthless: at one question per 200 ms it is 12.8 s old, beyond any
  // sensible lease.
  static constexpr size_t kRemembered = 64;

  // Numbers the next question of this stream, sent at `now`: 1, 2, 3, ...
  uint64_t Next(Instant now) {
    ++newest_;
    times_[newest_ % kRemembered] = now;
    return newest_;
  }

  // When question `sequence` was sent; nothing for 0 (a look without a lease), for one that was never sent, or that is
  // forgotten.
  std::optional<Instant> At(uint64_t sequence) const {
    if (sequence == 0 || sequence > newest_ || sequence + kRemembered <= newest_) return std::nullopt;
    return times_[sequence % kRemembered];
  }

 private:
  std::array<Instant, kRemembered> times_{};
  uint64_t newest_ = 0;
};

// No answer grants more than this, whatever it says: a mistyped leader_timeout must not become a day of writing to a
// deposed leader.
inline constexpr Duration kLongestLease = Seconds(60);

// The end of the lease that an answer grants: `made` = when it was written at the earliest, `claim_age` = how old the
// claim was then, `length` = what the leader grants. May lie in the past.
constexpr Instant LeaseEnd(Instant made, Duration claim_age, Duration length) {
  return made - claim_age + (length < kLongestLease ? length : kLongestLease);
}

}  // namespace hive::proxy
