#include "proxy/leader/leader_view.h"

#include <algorithm>

#include "proxy/leader/lease.h"

namespace hive::proxy {

LeaderView::Verdict LeaderView::Heard(Instant now, bool own, const WatchAnswer& answer) {
  if (own) {
    hive_ = answer.hive;
  } else if (!hive_.empty() && answer.hive != hive_) {
    return Verdict::kOtherHive;
  }
  if (!answer.coordinators.empty()) coordinators_ = answer.coordinators;

  // No leader: always believed, since all it does is to make commands wait. The claim that was known is dropped, its
  // lease with it.
  if (answer.leader.empty() || answer.write_state == WriteState::kNoLeader) {
    snapshot_ = LeaderSnapshot{};
    return Verdict::kBelieved;
  }

  // A member that lags, or stands on the other side of a partition, may still name an older leader; so may two members
  // name two leaders of one term. What was believed first stands as long as its lease runs: then nothing renews it, and
  // the other is all there is.
  const bool same = answer.leader == snapshot_.leader;
  const bool newer = answer.leader.term > snapshot_.leader.term;
  if (!same && !newer && now < snapshot_.lease_until) return Verdict::kOutdated;

  Instant lease_until = same ? snapshot_.lease_until : Instant{};
  if (answer.asked) {
    lease_until = std::max(lease_until, LeaseEnd(*answer.asked, answer.claim_age, answer.lease));
  }
  snapshot_ = LeaderSnapshot{answer.leader, answer.write_state, lease_until};
  return Verdict::kBelieved;
}

}  // namespace hive::proxy
