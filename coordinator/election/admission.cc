// Who speaks, and is it to be believed? What every message carries is looked at here before anything is taken in: other
// hives, impossible identities and terms, strangers, and incarnations that were replaced.
#include <algorithm>

#include "coordinator/election/core_impl.h"

namespace hive::election {

// Terms grow by one a leadership. One that is far ahead of all that was seen is nobody's, and would use up the terms of
// the whole hive; whoever has seen none yet takes what it finds, up to half of the range.
bool Core::Impl::Absurd(Term term, bool asked) const {
  if (!asked) return term > kHighestTerm || term > highest_term_ + kMaxUnaskedTermJump;
  if (highest_term_ == 0) return term > kHighestTerm / 2;
  return term > kHighestTerm || term > highest_term_ + kMaxTermJump;
}

std::string Core::Impl::RefusalOf(const Header& header, bool asked) {
  RefusedFor kind{};
  std::string reason = WhyRefused(header, asked, kind);
  if (!reason.empty()) NoteRefused(kind);
  // Of one that was met, and is that far ahead, we ask for the term: the answer may be believed.
  Peer* peer = !asked && Absurd(header.highest_term, asked) ? peers_.Find(header.coordinator) : nullptr;
  if (peer != nullptr && !peer->stranger() && !peer->greeting && now_ >= peer->next_greeting) Greet(*peer);
  return reason;
}

std::string Core::Impl::WhyRefused(const Header& header, bool asked, RefusedFor& kind) const {
  kind = RefusedFor::kAnotherHive;
  if (header.hive != config_.hive) {
    return "it belongs to hive '" + header.hive + "', this member to '" + config_.hive +
           "' (a reused pod IP, or --hive and --peers differ)";
  }
  kind = RefusedFor::kOwnAddress;
  if (header.self.ip == config_.self.ip) {
    return header.self == config_.self ? "it is this member itself"
                                       : "it claims this member's own IP (--advertise-ip or POD_IP given twice)";
  }
  kind = RefusedFor::kIncompleteIdentity;
  if (header.self.empty() || header.self.incarnation == 0 || header.coordinator.ip != header.self.ip ||
      header.coordinator.port == 0) {
    return "its identity is incomplete";
  }
  kind = RefusedFor::kAbsurdTerm;
  if (Absurd(header.highest_term, asked)) return "its term is absurd";
  return "";
}

Peer* Core::Impl::Meet(const Header& header, std::optional<Instant> asked_at) {
  Peer* peer = MeetIdentity(header.self, header.coordinator, asked_at);
  if (peer == nullptr) return nullptr;
  highest_term_ = std::max(highest_term_, header.highest_term);
  peer->version = header.version;
  return peer;
}

Peer* Core::Impl::MeetIdentity(const Identity& identity, const Endpoint& coordinator, std::optional<Instant> asked_at) {
  Peer* peer = peers_.Find(coordinator);
  if (peer == nullptr) {
    if (!asked_at && !MayAskStranger()) {
      NoteRefused(RefusedFor::kStranger);
      return nullptr;
    }
    peer = peers_.Add(coordinator);
  }
  if (peer == nullptr) return nullptr;
  if (peer->identity != identity && !MayReplace(*peer, identity, asked_at)) return nullptr;
  const Identity before = peer->identity;
  if (before.incarnation != identity.incarnation) {
    constexpr size_t kFormerRemembered = 8;
    if (before.incarnation != 0) peer->former.push_back(before.incarnation);
    if (peer->former.size() > kFormerRemembered) peer->former.pop_front();
    peer->identity = identity;
    peer->report = {};
    peer->version.clear();
    peer->link_up = false;
    peer->proof.reset();
    peer->answered.reset();
    peer->resigned = false;
  }
  peer->heard = std::max(peer->heard.value_or(Instant{}), asked_at.value_or(now_));
  if (asked_at) {
    if (!peer->answered || *asked_at > *peer->answered) peer->resigned = false;
    peer->answered = std::max(peer->answered.value_or(Instant{}), *asked_at);
    if (leading_) leading_->isolated = false;
  }
  if (winning_) winning_->targets.try_emplace(coordinator).first->second.awaited = true;  // it is there after all
  peer->gone = false;
  if (asked_at) peer->rejected.reset();
  peer->probed = ProbedRedis::kUnknown;
  if (before.incarnation != 0 && before != identity) OnReplaced(*peer, before);
  return peer;
}

bool Core::Impl::MayAskStranger() {
  if (now_ - strangers_since_ >= kStrangersInterval) {
    strangers_since_ = now_;
    strangers_asked_ = 0;
  }
  return ++strangers_asked_ <= kStrangersAsked;
}

// Anybody can say that it is a member, at any address; only a member can answer there. So nobody is met but by its
// answer to a question of ours. And incarnations have no order: what an old one has sent may arrive after the new one
// has spoken, so only the answer to a question that was asked after the known one was last heard replaces it. Anything
// else makes us ask.
bool Core::Impl::MayReplace(Peer& peer, const Identity& identity, std::optional<Instant> asked_at) {
  if (std::find(peer.former.begin(), peer.former.end(), identity.incarnation) != peer.former.end()) return false;
  if (asked_at && (!peer.heard || *asked_at > *peer.heard)) return true;
  if (!asked_at) {
    peer.stranger_heard = now_;
    if (winning_ && peer.listed) winning_->targets.try_emplace(peer.coordinator).first->second.awaited = true;
    if (!peer.greeting) Greet(peer);
  }
  return false;
}

void Core::Impl::OnReplaced(Peer& peer, const Identity& before) {
  if (promise_ && promise_->claim.leader == before) promise_.reset();
  if (promoting_heard_ && promoting_heard_->claim.leader == before) promoting_heard_.reset();
  if (candidacy_) candidacy_->answers.erase(peer.coordinator);
  if (winning_) {
    if (const auto it = winning_->targets.find(peer.coordinator); it != winning_->targets.end()) {
      it->second.answered = false;
      it->second.asked = Instant{};
    }
  }
  DropOrphansOf(peer.coordinator.ip);
  ForgetRival(before);
  if (following_ && following_->claim.leader == before) {
    LoseLeader(Evidence::kProof, "another incarnation answers at " + peer.coordinator.ip);
  }
}

// A restarted member forgets, or remembers an old history: it places its redis in the newest one that it belongs to.
void Core::Impl::LearnLineage(const Lineage& lineage) {
  if (lineage.empty() || leading_ || following_) return;
  const bool newer = lineage_.empty() || lineage.back().term > lineage_.back().term;
  if (newer && Descends(lineage, redis_.status())) lineage_ = lineage;
}

// `as_of`: when the report that this beat answers was sent. What a beat says of others is no younger than that.
void Core::Impl::HearOfMembers(const std::vector<MemberView>& members, Instant as_of) {
  for (const MemberView& member : members) {
    if (member.coordinator == config_.coordinator || member.identity.empty()) continue;
    Peer* peer = peers_.Add(member.coordinator);
    if (peer == nullptr) continue;
    if (std::find(peer->former.begin(), peer->former.end(), member.identity.incarnation) != peer->former.end())
      continue;
    if (!peer->met()) peer->identity = member.identity;
    if (peer->identity != member.identity) continue;  // somebody newer was met directly
    peer->report.role = member.identity == following_->claim.leader ? Role::kLeading : Role::kFollowing;
    peer->report.standing = member.standing;
    peer->report.will = member.will;
    peer->link_up = member.link_up;
    if (!member.version.empty()) peer->version = member.version;  // a leader of an older version does not pass it on
    const Instant heard = as_of - member.heard_ago;
    peer->heard = std::max(peer->heard.value_or(Instant{}), heard);
    peer->answered = std::max(peer->answered.value_or(Instant{}), heard);
  }
}

// Whether somebody at that address is being asked who it is, and this may be the answer.
bool Core::Impl::IsAsked(const Peer* peer, const Identity& identity) const {
  return peer != nullptr && peer->greeting &&
         std::find(peer->former.begin(), peer->former.end(), identity.incarnation) == peer->former.end();
}

// Its sender is not, or not yet, the one that we know at its address. Two that do not know one another yet must be able
// to meet, so a greeting is answered; nothing that it says is taken in before it has answered ours.
void Core::Impl::OnUnknown(RequestId id, const Request& request) {
  const Header& header = HeaderOf(request);
  if (IsAsked(peers_.Find(header.coordinator), header.self) && std::holds_alternative<GreetRequest>(request)) {
    return Respond(id, GreetReply{MakeHeader(), MakeReport()});
  }
  Respond(id, Refusal{MakeHeader(), ""});
}

}  // namespace hive::election
