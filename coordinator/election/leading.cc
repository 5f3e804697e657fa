// This member leads: it beats, counts its followers, settles with another leader, and collects orphans.
#include <algorithm>

#include "coordinator/election/core_impl.h"

namespace hive::election {
namespace {

// Nobody settles with a leader that has led for less: right after an election a leader has no followers yet, and would
// be punished for it.
constexpr Duration kSettlingAge = Millis(300);

}  // namespace

void Core::Impl::Open(const RedisStatus& promoted) {
  const bool new_dataset = winning_->own.empty;
  if (!new_dataset) RecallHistory(promoted);
  // Promoted twice since it was last in step, its ids name none of the lineage; what it was before this promotion does.
  const bool known_dataset = dataset_.origin != 0 && (Descends(lineage_, promoted) || winning_->own.term != 0);
  if (new_dataset || !known_dataset) {
    do {
      dataset_.origin = random_.Next();
    } while (dataset_.origin == 0);
    // Data of unknown history (an adopted redis; a coordinator that remembers nothing) is as old as its redis.
    dataset_.age = new_dataset ? Duration{0} : promoted.uptime;
    lineage_.clear();
    if (!new_dataset) Append(lineage_, {0, promoted.second_replication_id, 0});
  }
  const Term handed_over_by = winning_->inherits ? winning_->inherits->from : 0;
  // What its redis never was part of is no history of what it leads from here on.
  if (const int place = PlaceIn(lineage_, promoted); place >= 0) lineage_.resize(static_cast<size_t>(place) + 1);
  Append(lineage_, {winning_->claim.term, promoted.replication_id, promoted.offset, handed_over_by});
  dataset_as_of_ = now_;
  redis_.MarkPromoted();

  Leading leading;
  leading.claim = winning_->claim;
  leading.opened = leading.next_beat = now_;
  if (const Claim& orphaned = winning_->orphaned; !orphaned.empty()) {
    const Peer* peer = peers_.Find(orphaned.coordinator);
    if (peer != nullptr && peer->gone) leading.orphans.push_back({orphaned, std::nullopt, now_, false});
  }

  const std::optional<Inheritance> inherited = winning_->inherits;
  winning_.reset();
  promise_.reset();
  promoting_heard_.reset();
  candidacy_.reset();
  demoted_ = false;
  frozen_.reset();
  proved_lost_ = {};
  leading_ = std::move(leading);
  last_leader_ = config_.self;
  EnterRole(Role::kLeading,
            ToString(leading_->claim) + (new_dataset ? ", a new dataset" : "") + ", " + ToString(OwnStanding()));
  leading_->writes = JudgeWrites();
  leading_->fence = leading_->writes.state == WriteState::kFenced;
  Publish(/*even_if_same=*/true);
  if (inherited) Respond(inherited->reply, TakeOverReply{MakeHeader(), true, "", leading_->claim});
  PayOwedCampaigns();
}

// Its redis may have taken nothing from the leader that this member followed last, and whose lineage it has: what it
// was part of before is its history then. Else whatever has forked from that would seem to be on the line of this
// leader.
void Core::Impl::RecallHistory(const RedisStatus& promoted) {
  RedisStatus before;  // what it was part of until this promotion
  before.replication_id = promoted.second_replication_id;
  if (held_.dataset.origin != dataset_.origin || Descends(lineage_, before)) return;
  if (Descends(held_.lineage, before)) lineage_ = held_.lineage;
}

LeaderKey Core::Impl::MakeKey() const {
  LeaderKey key{leading_->claim,       CurrentDataset(), redis_.status().keys > 0, now_ - leading_->opened, {},
                redis_.status().offset};
  for (const auto& [id, follower] : leading_->followers) {
    if (!follower.identity.empty()) key.followers.push_back(follower.identity);
  }
  std::sort(key.followers.begin(), key.followers.end());
  return key;
}

bool Core::Impl::Follows(const Peer& peer) const {
  return leading_ && std::any_of(leading_->followers.begin(), leading_->followers.end(), [&](const auto& entry) {
           return entry.second.identity == peer.identity && peer.met();
         });
}

void Core::Impl::DriveLeading() {
  if (stalled_) SuspendAfterStall();
  const bool had_followers = !leading_->followers.empty();
  std::erase_if(leading_->followers, [&](const auto& entry) {
    if (now_ - entry.second.heard <= config_.leader_timeout) return false;
    out_.push_back(CloseStream{entry.first});
    NoteLine(Note::Level::kWarning, "follower " + ToString(entry.second.identity) + " has fallen silent");
    return true;
  });
  if (had_followers && leading_->followers.empty()) leading_->isolated = true;
  DriveAssertions();
  DriveWriteState();
  DriveHandover();
  if (!leading_) return;
  DriveOrphans();
  if (now_ < leading_->next_beat) return;
  leading_->next_beat = now_ + config_.beat_interval;
  SendBeats(LeaderState::kOpen, {});
  Publish(/*even_if_same=*/true);
  // Until everyone can have heard of it, the claim is repeated to those who do not follow.
  if (now_ - leading_->opened > config_.leader_timeout) return;
  AnnounceOpen();
}

void Core::Impl::AnnounceOpen() {
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (peer.gone || peer.stranger() || Follows(peer)) continue;
    Ask(CallKind::kLead, endpoint,
        LeadRequest{MakeHeader(), LeadPhase::kOpen, leading_->claim, CurrentDataset(), lineage_, {}},
        config_.leader_timeout / 2);
  }
}

void Core::Impl::SendBeats(LeaderState state, const Claim& successor) {
  ++leading_->beat;
  leading_->beats_sent[leading_->beat] = now_;
  if (leading_->beats_sent.size() > kEchoesRemembered) leading_->beats_sent.erase(leading_->beats_sent.begin());
  for (auto& [id, follower] : leading_->followers) SendBeatTo(follower, state, successor);
}

void Core::Impl::SendBeatTo(Follower& follower, LeaderState state, const Claim& successor) {
  Beat beat;
  beat.header = MakeHeader();
  beat.number = leading_->beat;
  beat.echoed_sequence = follower.sequence;
  if (follower.sequence > 0) beat.held = now_ - follower.reported;
  beat.wall = wall_;
  beat.state = state;
  beat.write_state = leading_->writes.state;
  beat.claim = leading_->claim;
  beat.successor = successor;
  beat.dataset = CurrentDataset();
  beat.lineage = lineage_;
  beat.offset = redis_.status().offset;
  beat.members.push_back(
      {config_.self, config_.coordinator, OwnWill(), OwnStanding(), redis_.up(), Duration{0}, config_.version});
  for (const auto& [id, other] : leading_->followers) {
    if (other.identity.empty()) continue;
    beat.members.push_back({other.identity, other.coordinator, other.will, other.standing, other.link_up,
                            now_ - other.heard, other.version});
  }
  out_.push_back(SendBeat{follower.stream, std::move(beat)});
}

void Core::Impl::On(const FollowOpened& event) {
  if (role_ != Role::kLeading) {
    out_.push_back(CloseStream{event.id});
    return;
  }
  Follower& follower = leading_->followers[event.id];
  follower.stream = event.id;
  follower.heard = now_;
}

void Core::Impl::On(const ReportReceived& event) {
  const FollowerReport& report = event.report;
  const auto it = leading_ ? leading_->followers.find(event.id) : decltype(leading_->followers.find(event.id)){};
  if (!leading_ || it == leading_->followers.end()) return;
  Follower& follower = it->second;
  const std::string reason = RefusalOf(report.header, /*asked=*/false);
  const auto sent = leading_->beats_sent.find(report.echoed_beat);
  const bool dated = sent != leading_->beats_sent.end();
  // The echo of a beat dates what is known of a member; who it is only its answer at its own address can say.
  const Peer* known = peers_.Find(report.header.coordinator);
  const bool answers = dated && known != nullptr && known->identity == report.header.self;
  Peer* peer = reason.empty() ? Meet(report.header, answers ? std::optional(sent->second) : std::nullopt) : nullptr;
  const bool new_here = peer == nullptr && reason.empty() && follower.identity.empty();
  if (new_here && IsAsked(peers_.Find(report.header.coordinator), report.header.self))
    return;  // its next report counts
  if (peer == nullptr || report.following.leader != config_.self) {
    if (!reason.empty()) Complain("refused " + report.header.coordinator.ip, "refusing a follower: " + reason);
    out_.push_back(CloseStream{event.id});
    leading_->followers.erase(it);
    return;
  }
  const bool first = follower.identity.empty();
  if (first) {
    // One stream a member: a newer one replaces what an earlier run, or a lost connection, has left.
    std::erase_if(leading_->followers, [&](const auto& entry) {
      if (entry.first == event.id || entry.second.coordinator != report.header.coordinator) return false;
      out_.push_back(CloseStream{entry.first});
      return true;
    });
  }
  follower.identity = report.header.self;
  follower.coordinator = report.header.coordinator;
  follower.version = report.header.version;
  if (report.sequence > follower.sequence) {
    follower.sequence = report.sequence;
    follower.reported = now_;
  }
  follower.standing = report.standing;
  follower.link_up = report.link_up;
  follower.will = report.will;
  peer->report.will = report.will;
  peer->report.role = Role::kFollowing;
  peer->report.standing = report.standing;
  peer->link_up = report.link_up;
  if (dated && sent->second > follower.heard) follower.round_trip = now_ - sent->second;
  if (dated) follower.heard = std::max(follower.heard, sent->second);
  if (dated) CompareClocks(*peer, report.wall, now_ - sent->second);
  DropOrphansOf(report.header.coordinator.ip);
  if (first) {
    NoteLine(Note::Level::kInfo, ToString(follower.identity) + " follows, " + ToString(follower.standing));
    SendBeatTo(follower, LeaderState::kOpen, {});
  }
  if (!report.introduces.empty() && report.introduces.leader != config_.self) {
    Peer* other = peers_.Add(report.introduces.coordinator);
    if (other != nullptr && !other->greeting && now_ >= other->next_greeting - kSettleInterval + kRetryInterval)
      Greet(*other);
  }
}

void Core::Impl::LeaveLeadership(LeaderState state, const Claim& successor) {
  if (handover_) EndHandover(false, config_.self.ip + " leads no more", successor);
  switch_call_.reset();
  dataset_ = CurrentDataset();
  SendBeats(state, successor);
  for (const auto& [id, follower] : leading_->followers) out_.push_back(CloseStream{id});
  leading_.reset();
}

void Core::Impl::Resign(std::string why) {
  const Claim claim = leading_->claim;
  LeaveLeadership(LeaderState::kResigned, {});
  NoteLine(Note::Level::kWarning, "resigns " + ToString(claim) + ": " + why);
  EnterJoining("resigned: " + std::move(why), now_);
  joining_.since = now_;
  out_.push_back(ResolveNow{});
  Publish(/*even_if_same=*/false);
}

// ---------------------------------------------------------------------------------------------------- two leaders

void Core::Impl::Settle(Peer& peer, const LeaderKey& own, const LeaderKey& other) {
  if (own.open_for < kSettlingAge || other.open_for < kSettlingAge) {
    peer.next_greeting = std::min(peer.next_greeting, now_ + kRetryInterval);
    return;
  }
  Complain("two leaders " + peer.coordinator.ip, "two leaders: " + ToString(own.claim) + " and " +
                                                     ToString(other.claim) + "; " +
                                                     (Better(own, other) ? "this one goes on" : "this one yields"));
  if (Better(own, other) || leading_->yielding) return;
  const CallId id = NewCall(CallKind::kYield, peer.coordinator);
  leading_->yielding = std::pair(id, peer.identity);
  out_.push_back(SendRequest{id, peer.coordinator, YieldRequest{MakeHeader(), own}, config_.leader_timeout / 2});
}

void Core::Impl::OnYield(RequestId id, const YieldRequest& request) {
  YieldReply reply{MakeHeader(), false, {}};
  const bool young = !leading_ || now_ - leading_->opened < kSettlingAge;
  const bool yields_elsewhere = leading_ && leading_->yielding && leading_->yielding->second != request.header.self;
  const bool sound =
      request.key.claim.leader == request.header.self && !Absurd(request.key.claim.term, /*asked=*/false);
  const Peer* sender = peers_.Find(request.header.coordinator);
  const bool follows = sender != nullptr && Follows(*sender);  // somebody else speaks in its name
  if (!sound || follows) NoteRefused(RefusedFor::kUnsoundYield);
  if (role_ == Role::kLeading && !young && !yields_elsewhere && sound && !follows && Better(MakeKey(), request.key)) {
    leading_->yielding.reset();
    ForgetRival(request.header.self);
    const bool beaten = request.key.claim.term >= leading_->claim.term;
    highest_term_ = std::max({highest_term_, request.key.claim.term, leading_->claim.term});
    if (beaten) leading_->claim.term = ++highest_term_;
    reply.header = MakeHeader();
    reply.confirmed = true;
    reply.claim = leading_->claim;
    Complain("yield of " + request.header.self.ip,
             "goes on as " + ToString(leading_->claim) + "; " + ToString(request.key.claim) + " yields");
    if (beaten) {
      SendBeats(LeaderState::kOpen, {});
      Publish(/*even_if_same=*/true);
      AnnounceOpen();
    }
  }
  Respond(id, std::move(reply));
}

void Core::Impl::OnYieldReply(Peer& peer, CallId id, const YieldReply& reply) {
  if (!leading_ || !leading_->yielding || leading_->yielding->first != id) return;
  leading_->yielding.reset();
  const bool sound = reply.claim.leader == peer.identity && !Absurd(reply.claim.term, /*asked=*/true) &&
                     Beats(reply.claim, leading_->claim) && !reply.claim.redis.empty();
  if (!reply.confirmed || !sound) return;
  const Claim own = leading_->claim;
  NoteLine(Note::Level::kWarning, "yields " + ToString(own) + " to " + ToString(reply.claim));
  LeaveLeadership(LeaderState::kYielded, reply.claim);
  StartFollowing(reply.claim, "yielded to " + ToString(reply.claim));
}

// -------------------------------------------------------------------------------------------------------- orphans

void Core::Impl::DriveOrphans() {
  for (Orphan& orphan : leading_->orphans) {
    if (orphan.call || now_ < orphan.next) continue;
    orphan.call = NewCall(CallKind::kOrphan, orphan.claim.coordinator);
    out_.push_back(DemoteOrphan{*orphan.call, orphan.claim.redis, orphan.claim.coordinator, config_.redis});
  }
}

void Core::Impl::DropOrphansOf(const std::string& ip) {
  if (!leading_) return;
  std::erase_if(leading_->orphans, [&](const Orphan& orphan) { return orphan.claim.coordinator.ip == ip; });
}

void Core::Impl::On(const OrphanAnswered& event) {
  calls_.erase(event.id);
  if (!leading_) return;
  const auto it = std::find_if(leading_->orphans.begin(), leading_->orphans.end(),
                               [&](const Orphan& orphan) { return orphan.call == event.id; });
  if (it == leading_->orphans.end()) return;
  it->call.reset();
  it->next = now_ + kOrphanInterval;
  const std::string where = hive::ToString(it->claim.redis);
  switch (event.outcome) {
    case OrphanAnswered::Outcome::kObeyed:
      NoteLine(Note::Level::kInfo, "the redis of the lost leader, " + where + ", replicates this member's now");
      leading_->orphans.erase(it);
      return;
    case OrphanAnswered::Outcome::kCoordinatorAnswers:
      leading_->orphans.erase(it);  // it looks after its redis itself
      return;
    case OrphanAnswered::Outcome::kRefused:
      if (!it->complained)
        NoteLine(Note::Level::kWarning,
                 "the redis of the lost leader, " + where + ", refuses REPLICAOF: " + event.detail);
      it->complained = true;
      return;
    case OrphanAnswered::Outcome::kUnreachable: {
      const Peer* peer = peers_.Find(it->claim.coordinator);
      if (peer == nullptr || !peer->listed) leading_->orphans.erase(it);  // its pod is gone
      return;
    }
  }
}

}  // namespace hive::election
