// No leader is known and this member does not stand: it looks for a leader, and stands when it may.
#include <algorithm>

#include "coordinator/election/core_impl.h"

namespace hive::election {

void Core::Impl::EnterJoining(std::string why, Instant stand_not_before) {
  if (role_ != Role::kJoining) joining_.since = now_;
  joining_.stand_not_before = std::max(joining_.stand_not_before, stand_not_before);
  EnterRole(Role::kJoining, std::move(why));
}

bool Core::Impl::ProvedLately() const {
  return !proved_lost_.empty() && now_ - proved_lost_at_ < config_.leader_timeout;
}

bool Core::Impl::Promised() const { return promise_ && promise_->claim.leader != config_.self; }

bool Core::Impl::EveryoneAnsweredSince(Instant since) const {
  return std::all_of(peers_.all().begin(), peers_.all().end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    return peer.gone || peer.stranger() || (peer.heard && *peer.heard >= since);
  });
}

// One that leaves, or whose priority is 0, stands only if nobody willing holds as much.
bool Core::Impl::MayStand() const {
  if (!OwnWill().reluctant || joining_.foreign) return true;  // foreign data settles by its age, whoever holds it
  const Standing own = OwnStanding();
  return std::none_of(peers_.all().begin(), peers_.all().end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    const bool there = !peer.gone && peer.heard && now_ - *peer.heard <= config_.leader_timeout;
    const MemberReport& report = peer.report;
    return there && !report.will.reluctant && report.standing.available && !HoldsLess(report.standing, own);
  });
}

// Another member has switched the leadership to its own redis while this coordinator could not be reached: as long as
// that one feeds ours, there is nothing to save.
bool Core::Impl::DemotedBySwitch() const {
  const RedisStatus& status = redis_.status();
  return demoted_ && redis_.up() && !status.is_master && !status.parked() && status.link_up;
}

void Core::Impl::DriveJoining() {
  if (Promised() || promoting_heard_ || now_ < joining_.stand_not_before) return;
  if (!OwnStanding().available) {
    joining_.since = now_;
    return;
  }
  if (forced_) return StandForced();
  if (!redis_.holds_data()) {
    if (BootstrapAllowed()) Stand(Evidence::kBootstrap, {});
    return;
  }
  if (!MayStand() || DemotedBySwitch() || IsOutcast()) return;
  if (!candidacy_ && ProvedLately()) return Stand(Evidence::kProof, proved_lost_);
  if (candidacy_) return Stand(candidacy_->evidence, candidacy_->lost);  // the next round of the same election
  if (!peers_.answered() && now_ - started_at_ < kDnsPatience) return;
  const bool asked_long_enough = now_ - joining_.since >= config_.election_window;
  if (asked_long_enough || EveryoneAnsweredSince(joining_.since)) Stand(Evidence::kLeaderless, {});
}

// Neither its coordinator nor its redis has anything to say.
bool Core::Impl::ProvedEmptyHanded(const Peer& peer) const {
  const bool spoken_to = peer.stranger_heard && now_ - *peer.stranger_heard <= config_.leader_timeout;
  return peer.gone && peer.probed == ProbedRedis::kNothing && !spoken_to;
}

// Empties stand among themselves only when DNS has listed the same members, this one among them, for bootstrap_settle,
// and nobody listed leads, has data, or is silent and so may have it. Patience with silence ends after empty_wait,
// loudly; with those that reject this member it does not.
bool Core::Impl::BootstrapAllowed() {
  joining_.patience_over = false;
  if (!peers_.self_listed() || dns_silent_ || now_ - listed_since_ < config_.bootstrap_settle) return false;
  if (OwnWill().reluctant) {
    Complain("reluctant",
             "empty, and of priority 0 or leaving: it begins no dataset, and waits for a member that does");
    return false;
  }
  const Peer* left_out = nullptr;
  bool awaited = false;
  for (auto& [endpoint, peer] : peers_.all()) {
    const bool silent = peer.gone || !peer.heard || now_ - *peer.heard > config_.leader_timeout / 2;
    const MemberReport& report = peer.report;
    if (!silent) {
      if (report.role == Role::kLeading || report.role == Role::kPromoting) return false;
      if (!report.standing.empty && report.standing.available) return false;  // it will stand itself
    }
    const bool blocks = silent ? peer.listed && !ProvedEmptyHanded(peer) : !report.standing.empty;
    if (!blocks) {
      peer.blocks_since.reset();
      continue;
    }
    // Whoever rejects this one is alive, and patience is for the silent. A member that has been in step with the hive
    // is not the one that is wrong: it waits for the stranger no longer than for anybody.
    if (!peer.blocks_since || (Rejects(peer) && !has_joined_)) peer.blocks_since = now_;
    if (peer.gone && peer.probed == ProbedRedis::kHasData) {  // seen, so not silent: its coordinator is waited for
      awaited = true;
    } else if (now_ - *peer.blocks_since < config_.empty_wait) {
      awaited = true;
    } else {
      left_out = &peer;
    }
  }
  if (awaited) return false;
  if (left_out == nullptr) return true;
  joining_.patience_over = true;
  Complain("empty_wait", hive::ToString(left_out->coordinator) +
                             " is listed in DNS and may hold data, but has been silent for " +
                             std::to_string(ToMillis(config_.empty_wait) / 1000) +
                             " s (--empty-wait): a new, empty dataset begins without it");
  return true;
}

// True when following the leader of `dataset` would drop data that never was part of it. Whoever holds such data elects
// first; the two leaders settle afterwards, by age.
bool Core::Impl::IsForeign(const Claim& claim, const Dataset& dataset, const Lineage& lineage) const {
  const RedisStatus& status = redis_.status();
  if (!redis_.up() || !redis_.holds_data() || status.keys == 0) return false;
  if (dataset_.origin != 0 && dataset_.origin == dataset.origin) return false;
  return !Descends(lineage, status) && !replication::InSyncWith(status, claim.redis);
}

// Somebody leads, in its own words or on the word of its Lead.
void Core::Impl::ConsiderLeader(const Claim& claim, const Dataset& dataset, const Lineage& lineage) {
  if (claim.empty() || claim.leader == config_.self || claim.redis.empty() || Absurd(claim.term, /*asked=*/true))
    return;
  highest_term_ = std::max(highest_term_, claim.term);
  switch (role_) {
    case Role::kLeading:
      CheckRival(claim, claim.coordinator);
      return;  // settled by greeting: a claim alone puts nothing in the scales
    case Role::kFollowing:
      if (claim.leader == following_->claim.leader) {
        if (claim.term > following_->claim.term) following_->claim = claim;
      } else if (following_->introduces != claim) {
        following_->introduces = claim;  // introduce the two, and stay put
        Report();
      }
      return;
    case Role::kPromoting:
      if (winning_->promoting || winning_->inherits || IsForeign(claim, dataset, lineage)) return;
      Release({}, ToString(claim) + " leads already", Duration{0});
      break;
    case Role::kJoining:
    case Role::kElecting:
      break;
  }
  if (Promised() && promise_->claim.leader != claim.leader && claim.term < promise_->claim.term) return;
  if (ProvedLately() && claim.leader == proved_lost_.leader && claim.term <= proved_lost_.term) return;
  joining_.foreign = IsForeign(claim, dataset, lineage);
  if (joining_.foreign) {
    Complain("foreign " + claim.leader.ip, claim.leader.ip +
                                               " leads a dataset that this member's data is no part of: "
                                               "electing among those without a leader first, the older dataset stays");
    return;
  }
  StartFollowing(claim, "found " + ToString(claim));
}

}  // namespace hive::election
