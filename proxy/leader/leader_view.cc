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

  LeaderSnapshot next;
  next.leader = answer.leader;
  next.write_state = answer.write_state;
  if (same) next.lease_until = snapshot_.lease_until;
  if (answer.asked) {
    next.lease_until = std::max(next.lease_until, LeaseEnd(*answer.asked, answer.claim_age, answer.lease));
  }
  // Between two leaderships there may be a moment without.
  if (answer.leader == latest_.leader) {
    next.handed_over = latest_.handed_over;
    next.former_lease_until = latest_.former_lease_until;
  } else {
    next.handed_over = latest_.write_state == WriteState::kHold;
    next.former_lease_until = latest_.lease_until;
  }
  snapshot_ = latest_ = next;
  return Verdict::kBelieved;
}

}  // namespace hive::proxy
