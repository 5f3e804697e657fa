#include "coordinator/election/claim.h"

#include <algorithm>
#include <tuple>

namespace hive::election {

bool Beats(const Claim& a, const Claim& b) {
  if (a.term != b.term) return a.term > b.term;
  return std::tie(a.started, a.leader.ip, a.leader.incarnation) <
         std::tie(b.started, b.leader.ip, b.leader.incarnation);
}

namespace {

// Followers that only `key` counts, plus the shared ones if they belong to it.
size_t ExclusiveFollowers(const LeaderKey& key, const LeaderKey& other) {
  const bool owns_shared = Beats(key.claim, other.claim);
  return static_cast<size_t>(std::count_if(key.followers.begin(), key.followers.end(), [&](const Identity& follower) {
    return owns_shared || std::find(other.followers.begin(), other.followers.end(), follower) == other.followers.end();
  }));
}

}  // namespace

bool Better(const LeaderKey& a, const LeaderKey& b) {
  if (a.dataset.origin != b.dataset.origin) {
    if (a.has_keys != b.has_keys) return a.has_keys;
    if (a.dataset.age != b.dataset.age) return a.dataset.age > b.dataset.age;
  }
  const size_t followers_a = ExclusiveFollowers(a, b);
  const size_t followers_b = ExclusiveFollowers(b, a);
  if (followers_a != followers_b) return followers_a > followers_b;
  // One that stood still while the other took writes must not drop those.
  if (a.dataset.origin == b.dataset.origin && a.offset != b.offset) return a.offset > b.offset;
  return std::tie(a.claim.started, a.claim.leader) < std::tie(b.claim.started, b.claim.leader);
}

}  // namespace hive::election
