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

  Witness& witness = WitnessOf(own);
  const bool none = answer.leader.empty() || answer.write_state == WriteState::kNoLeader;
  witness.names = none ? Leadership{} : answer.leader;
  witness.newest_term = std::max(witness.newest_term, witness.names.term);
  if (none) {
    if (!MayEnd(now, own)) return Verdict::kOutdated;
    // The claim that was known is dropped, its lease with it.
    snapshot_ = LeaderSnapshot{};
    return Verdict::kBelieved;
  }

  // A member that lags, or stands on the other side of a partition, may still name an older leader; so may two members
  // name two leaders of one term. What was believed first stands as long as its lease would have run, even if nobody
  // leads just now. Then nothing renews it, and the other is all there is: if it leads, that is.
  // No answer is from the future, whatever it says.
  const Instant lease_until =
      answer.asked ? LeaseEnd(std::min(*answer.asked + answer.held, now), answer.claim_age, answer.lease) : Instant{};
  const bool same = answer.leader == latest_.leader;
  const bool newer = answer.leader.term > latest_.leader.term;
  if (!same && !newer && (now < latest_.lease_until || lease_until <= now)) return Verdict::kOutdated;

  LeaderSnapshot next;
  next.leader = answer.leader;
  next.write_state = answer.write_state;
  next.lease_until = lease_until;
  if (answer.leader == snapshot_.leader) next.lease_until = std::max(lease_until, snapshot_.lease_until);
  // Between two leaderships there may be a moment without.
  if (answer.leader == latest_.leader) {
    next.handed_over = latest_.handed_over;
    next.former_lease_until = latest_.former_lease_until;
  } else {
    // Whoever was between two watches at that moment may have missed the HOLD.
    const bool says_so = answer.handed_over_by != 0 && answer.handed_over_by == latest_.leader.term;
    next.handed_over = latest_.write_state == WriteState::kHold || says_so;
    next.former_lease_until = latest_.lease_until;
  }
  snapshot_ = latest_ = next;
  return Verdict::kBelieved;
}

// Whether a stream's word that nobody leads is to be believed. A member that was just born, or has not heard of the
// latest leader yet, says so, too: while a lease runs, only one that knew of its leader may end it, and not while the
// other stream names that leader. Once it has run out anyone may: all that it does is to make commands wait.
bool LeaderView::MayEnd(Instant now, bool own) const {
  if (snapshot_.leader.empty() || now >= snapshot_.lease_until) return true;
  const Witness& witness = witnesses_[own ? 1 : 0];
  const Witness& other = witnesses_[own ? 0 : 1];
  return witness.newest_term >= snapshot_.leader.term && other.names != snapshot_.leader;
}

}  // namespace hive::proxy
