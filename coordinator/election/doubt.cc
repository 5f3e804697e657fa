// Is it the others that are gone, or this member that is cut off? And what a leader that may be cut off lets be
// written.
#include <algorithm>

#include "coordinator/election/core_impl.h"

namespace hive::election {

// One of the members: heard of, and not known to have left for a reason.
bool Core::Impl::IsMember(const Peer& peer) const {
  if (!peer.met() || !peer.answered || peer.report.will.leaving || peer.resigned) return false;
  const bool dropped_by_dns = peer.was_listed && !peer.listed && peers_.self_listed();
  return !dropped_by_dns;
}

// One of the members that count: heard of within doubt_timeout.
bool Core::Impl::Counts(const Peer& peer) const {
  return IsMember(peer) && now_ - *peer.answered <= config_.doubt_timeout;
}

// Fewer than half of the members that count have answered within `patience`; or exactly half, if there are more than
// two and the leader is among the missing. Two members never doubt.
bool Core::Impl::HearsTooFew(Duration patience) const {
  int members = 1;
  int heard = 1;
  bool leader_missing = false;
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (!Counts(peer)) continue;
    ++members;
    // A refusal is no answer either, be it the first of several: firewalls make them, too. A leader gives it the time
    // that silence has.
    const bool refuses = peer.gone || peer.proof;
    const bool hears = (leading_ || !refuses) && now_ - *peer.answered <= patience;
    heard += hears ? 1 : 0;
    if (!hears && peer.identity == last_leader_) leader_missing = true;
  }
  if (members <= 2) return false;
  return 2 * heard < members || (2 * heard == members && leader_missing && role_ != Role::kLeading);
}

bool Core::Impl::InDoubt() const { return HearsTooFew(config_.leader_timeout); }

// Remembered until this member follows or leads undisturbed: whoever has been in doubt touches nobody else's redis.
void Core::Impl::DriveDoubt() {
  const bool doubts = InDoubt();
  if (doubts && !doubts_) {
    NoteLine(Note::Level::kWarning, "in doubt: fewer than half of the other members are heard; rather cut off itself");
  } else if (!doubts && doubts_) {
    NoteLine(Note::Level::kInfo, "no longer in doubt");
  }
  doubts_ = doubts;
  if (doubts) {
    has_doubted_ = true;
  } else if ((following_ && following_->confirmed && HearsLeader()) ||
             (leading_ && !HearsTooFew(config_.leader_timeout / 2))) {
    has_doubted_ = false;
  }
}

// It stands alone, and DNS does not say whether anybody else should be there: it may be the one that is cut off.
bool Core::Impl::AloneInTheDark() const {
  if (peers_.all().empty() || now_ - candidacy_->began >= config_.doubt_timeout) return false;
  const bool others = std::any_of(peers_.all().begin(), peers_.all().end(),
                                  [&](const auto& entry) { return entry.second.listed || Counts(entry.second); });
  return others && candidacy_->answers.empty() && (dns_silent_ || dns_answered_at_ < candidacy_->began);
}

// ------------------------------------------------------------------------------------------------- what may be written

int Core::Impl::FollowersInSync() const {
  return static_cast<int>(std::count_if(leading_->followers.begin(), leading_->followers.end(), [](const auto& entry) {
    return entry.second.link_up && entry.second.standing.available;
  }));
}

bool Core::Impl::IsRival(const Claim& claim) const {
  return leading_ && !claim.empty() && claim.leader != config_.self && Beats(claim, leading_->claim);
}

// Another member claims the leadership with a better claim, or is about to: until they have settled, one of the two
// takes writes.
void Core::Impl::NoteRival(const Claim& claim) {
  if (IsRival(claim)) leading_->rival = Promise{claim, now_};
}

// Such a claim in a message that anybody may have sent: its sender is asked at its own address, and believed when it
// answers so. New writes wait for the answer meanwhile, unless it has denied such a claim of late.
void Core::Impl::CheckRival(const Claim& claim, const Endpoint& sender) {
  Peer* peer = peers_.Find(sender);
  if (!IsRival(claim) || peer == nullptr || !peer->met()) return;
  const bool denied = peer->denied && now_ - *peer->denied <= config_.leader_timeout;
  leading_->assertions.try_emplace(sender, Assertion{claim, now_, !denied});
}

void Core::Impl::SettleAssertion(const Endpoint& sender, Instant asked_at, bool confirmed) {
  if (!leading_) return;
  const auto it = leading_->assertions.find(sender);
  if (it == leading_->assertions.end() || asked_at < it->second.heard) return;
  const Claim claim = it->second.claim;
  leading_->assertions.erase(it);
  if (confirmed) return NoteRival(claim);
  if (Peer* peer = peers_.Find(sender)) peer->denied = now_;
  NoteRefused(RefusedFor::kUnconfirmedClaim);
  Complain("unconfirmed " + sender.ip, "a message says that " + ToString(claim) +
                                           " leads, but nobody at its address confirms it: goes on (strangers can be "
                                           "kept out by --peer-secret-file or TLS)");
}

void Core::Impl::DriveAssertions() {
  std::erase_if(leading_->assertions, [&](const auto& entry) { return peers_.Find(entry.first) == nullptr; });
  for (const auto& [sender, assertion] : leading_->assertions) {
    if (Peer* peer = peers_.Find(sender); !peer->greeting) Greet(*peer);
  }
}

void Core::Impl::ForgetRival(const Identity& identity) {
  if (leading_ && leading_->rival && leading_->rival->claim.leader == identity) leading_->rival.reset();
}

// A leader whose loop stood still has heard nobody meanwhile, whatever its buffers hold: it asks everyone anew.
void Core::Impl::SuspendAfterStall() {
  NoteLine(Note::Level::kWarning,
           "stood still for more than half of leader_timeout: asks the others before it goes on");
  leading_->asks_since = now_;
  for (auto& [endpoint, peer] : peers_.all()) peer.next_greeting = now_;
  leading_->next_beat = now_;
}

// Of every member, however long it has not been heard: this one may have stood still for longer than doubt_timeout.
bool Core::Impl::StillAsking() const {
  if (!leading_->asks_since || now_ - *leading_->asks_since >= config_.election_window) return false;
  return std::any_of(peers_.all().begin(), peers_.all().end(), [&](const auto& entry) {
    const Peer& peer = entry.second;
    return !peer.gone && IsMember(peer) && *peer.answered < *leading_->asks_since;
  });
}

Verdict Core::Impl::JudgeWrites() const {
  if (handover_ && handover_->change) return {WriteState::kHold, "leadership is being handed over"};
  if (leading_->rival) return {WriteState::kFenced, ToString(leading_->rival->claim) + " claims the leadership, too"};
  if (InDoubt()) return {WriteState::kFenced, "in doubt: fewer than half of the members are heard"};
  if (leading_->isolated && dns_silent_) {
    return {WriteState::kFenced, "every follower has fallen silent, and DNS does not answer: cut off, it seems"};
  }
  const bool asking = std::any_of(leading_->assertions.begin(), leading_->assertions.end(),
                                  [](const auto& entry) { return entry.second.holds; });
  if (asking) return {WriteState::kHold, "another member is said to claim the leadership, too: asks it"};
  if (const int in_sync = FollowersInSync(); in_sync < config_.min_followers) {
    return {WriteState::kFenced, std::to_string(in_sync) + " followers are in sync, --min-followers wants " +
                                     std::to_string(config_.min_followers)};
  }
  if (StillAsking()) return {WriteState::kHold, "its loop stood still: asks the others first"};
  if (HearsTooFew(config_.leader_timeout / 2))
    return {WriteState::kHold, "fewer than half of the members were heard of late"};
  return {WriteState::kOpen, ""};
}

// Decides what may be written, and tells everybody at once when that changes. Its redis's own fence goes down first: an
// open leader whose redis refuses writes would be an error that clients see.
void Core::Impl::DriveWriteState() {
  if (leading_->rival && now_ - leading_->rival->heard > config_.leader_timeout) leading_->rival.reset();
  if (!StillAsking() && leading_->asks_since && !HearsTooFew(config_.leader_timeout / 2)) leading_->asks_since.reset();
  Verdict verdict = JudgeWrites();
  leading_->fence = verdict.state == WriteState::kFenced;
  if (verdict.state == WriteState::kOpen && redis_.status().fenced) {
    verdict = {WriteState::kFenced, "its redis still refuses writes (min-replicas-to-write)"};
  }
  if (verdict.state == leading_->writes.state) {
    leading_->writes.reason = std::move(verdict.reason);
    return;
  }
  const bool quiet = verdict.state == WriteState::kHold || (handover_ && verdict.state == WriteState::kOpen);
  NoteLine(quiet ? Note::Level::kInfo : Note::Level::kWarning,
           std::string("writes: ") + Name(verdict.state) + (verdict.reason.empty() ? "" : ", " + verdict.reason));
  leading_->writes = std::move(verdict);
  SendBeats(LeaderState::kOpen, {});
}

}  // namespace hive::election
