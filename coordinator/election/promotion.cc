// The round is won: everyone parks, reports once more, and whoever holds most is promoted. And the other side of it:
// what a member promises to a winner.
#include <algorithm>

#include "coordinator/election/core_impl.h"

namespace hive::election {

void Core::Impl::Win(const std::map<Endpoint, Answer>& answers) {
  Winning winning;
  winning.claim = {std::max(candidacy_->term, highest_term_ + 1), candidacy_->started, config_.self,
                   config_.coordinator, config_.redis};
  winning.evidence = candidacy_->evidence;
  winning.lost = candidacy_->lost;
  winning.patience_over = candidacy_->patience_over;
  // Only whoever holds a leader's own data may tell the redis which that leader left behind to replicate it.
  const Claim& lost = winning.lost.empty() ? proved_lost_ : winning.lost;
  const bool its_data = replication::InSyncWith(redis_.status(), lost.redis) ||
                        (dataset_.origin != 0 && Descends(lineage_, redis_.status()));
  // A member that has been in doubt may be wrong about who is gone: it touches nobody else's redis.
  const bool certain = winning.evidence != Evidence::kSilence && !has_doubted_;
  if (certain && !frozen_->standing.empty && its_data) winning.orphaned = lost;
  winning.began = winning.stage_began = winning.next_announcement = now_;
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (peer.gone || peer.stranger()) continue;
    winning.targets[endpoint].awaited = answers.contains(endpoint);
  }
  LastElection election{winning.evidence, now_ - candidacy_->began, {config_.self}, config_.self, winning.claim.term};
  for (const auto& [endpoint, answer] : answers) {
    if (answer.verdict == CampaignVerdict::kCandidacy) election.stood.push_back(answer.identity);
  }
  ++tally_.elections_won[static_cast<size_t>(election.evidence)];
  tally_.election_durations.Observe(election.took);
  last_election_ = std::move(election);
  highest_term_ = winning.claim.term;
  promise_ = Promise{winning.claim, now_};
  winning_ = std::move(winning);
  EnterRole(Role::kPromoting, "won " + ToString(winning_->claim) + " with " + ToString(frozen_->standing));
  Announce();
  for (auto& [endpoint, target] : winning_->targets) SendPrepare(endpoint, target);
  if (!BeginTakeover()) Park();
}

// Only the lost leader's coordinator is gone, its redis feeds ours still: whatever that has acknowledged is worth a
// switch.
bool Core::Impl::BeginTakeover() {
  const Claim& orphaned = winning_->orphaned;
  if (orphaned.empty() || !replication::InSyncWith(redis_.status(), orphaned.redis)) return false;
  const Peer* peer = peers_.Find(orphaned.coordinator);
  if (peer == nullptr || !peer->gone) return false;
  winning_->takeover.emplace(now_, config_.takeover_timeout);
  return true;
}

void Core::Impl::DriveTakeover() {
  replication::Switch& takeover = *winning_->takeover;
  DriveSwitch(takeover, /*old_is_local=*/false, winning_->orphaned.redis);
  if (!takeover.over()) return;
  const bool done = takeover.stage() == replication::Switch::Stage::kDone;
  const std::string where = hive::ToString(winning_->orphaned.redis);
  NoteLine(done ? Note::Level::kInfo : Note::Level::kWarning,
           done ? "took over from the lost leader's redis, " + where + ", with all it held, in " +
                      std::to_string(ToMillis(now_ - takeover.began())) + " ms"
                : "could not take over from the lost leader's redis, " + where + " (" + takeover.failure() +
                      "): goes on with what is here");
  if (takeover.paused()) {
    const CallId id = NewCall(CallKind::kSwitchRemote, {});
    out_.push_back(
        CommandRemote{id, winning_->orphaned.redis, {RedisCommand::Kind::kUnpause, {}}, {}, config_.takeover_timeout});
  }
  if (!done) {  // that took its time, and the others' redises may have taken in more before they were parked
    for (auto& [endpoint, target] : winning_->targets) target.answered = false;
    for (auto& [endpoint, target] : winning_->targets) target.asked = Instant{};
  }
  switch_call_.reset();
  winning_->takeover.reset();
  Park();
}

void Core::Impl::Park() {
  winning_->stage_began = now_;
  Command(CallKind::kPark, {RedisCommand::Kind::kPark, {}});
}

void Core::Impl::SendPrepare(const Endpoint& to, Winning::Target& target) {
  target.asked = now_;
  Ask(CallKind::kPrepare, to, PrepareRequest{MakeHeader(), winning_->claim, lineage_}, config_.leader_timeout / 2);
}

void Core::Impl::Announce() {
  winning_->next_announcement = now_ + config_.beat_interval;
  for (const auto& [endpoint, target] : winning_->targets) {
    Ask(CallKind::kLead, endpoint, LeadRequest{MakeHeader(), LeadPhase::kPromoting, winning_->claim, {}, {}, {}},
        config_.leader_timeout / 2);
  }
}

void Core::Impl::DrivePromoting() {
  if (stalled_) return Release({}, "stood still for too long: it begins again", Duration{0});
  promise_->heard = now_;
  if (winning_->inherits) {
    const bool late = now_ - winning_->began > config_.leader_timeout / 2;
    if (late) Release({}, "its redis took too long to take over", Duration{0});
    return;
  }
  if (now_ >= winning_->next_announcement) Announce();
  if (winning_->promoting) return;
  if (winning_->takeover) DriveTakeover();
  for (auto& [endpoint, target] : winning_->targets) {
    const Peer* peer = peers_.Find(endpoint);
    // Whose redis was of no use, loading or mute, may be well again before this is decided, and hold more.
    const bool final = target.answered && target.standing.available;
    if (peer == nullptr || peer->gone || final) continue;
    if (now_ - target.asked >= kRetryInterval) SendPrepare(endpoint, target);
  }
  DecidePromotion();
}

void Core::Impl::OnParked(const RedisDone& event) {
  if (role_ != Role::kPromoting) return;
  if (!event.ok) return Release({}, "its redis refuses REPLICAOF: " + event.error, config_.leader_timeout);
  if (now_ - winning_->stage_began > config_.leader_timeout / 2) {
    return Release({}, "its redis stood still for too long: it begins again", Duration{0});
  }
  winning_->own = OwnStanding();
  winning_->parked = true;
}

void Core::Impl::DecidePromotion() {
  if (!winning_->parked || winning_->promoting) return;
  const bool patience = now_ - winning_->began < config_.leader_timeout;
  for (const auto& [endpoint, target] : winning_->targets) {
    const Peer* peer = peers_.Find(endpoint);
    const bool gone = peer == nullptr || peer->gone;
    if (target.awaited && !target.answered && !gone && patience) return;
  }
  const Winning::Target* fresher = nullptr;
  Standing best = winning_->own;
  for (const auto& [endpoint, target] : winning_->targets) {
    if (!target.answered) continue;
    if (winning_->own.empty && !target.standing.empty && !winning_->patience_over) {
      return Release(target.standing.available ? target.identity : Identity{},
                     endpoint.ip + " holds data after all: a new dataset is not needed", kRetryInterval);
    }
    const bool more = config_.defer_to_fresher ? HoldsLess(best, target.standing)
                                               : best.empty && target.standing.available && !target.standing.empty;
    if (!more) continue;
    fresher = &target;
    best = target.standing;
  }
  if (fresher != nullptr) {
    return Release(fresher->identity, ToString(fresher->identity) + " holds more (" + ToString(best) + "): ceding",
                   kRetryInterval + RankPause());
  }
  winning_->promoting = true;
  winning_->stage_began = now_;
  Command(CallKind::kPromote, {RedisCommand::Kind::kPromote, {}});
}

void Core::Impl::OnPromoted(const RedisDone& event) {
  if (!event.ok) return Release({}, "its redis refuses REPLICAOF NO ONE: " + event.error, config_.leader_timeout);
  if (!event.status.is_master || now_ - winning_->stage_began > config_.leader_timeout / 2) {
    Command(CallKind::kReconcile, {RedisCommand::Kind::kPark, {}});
    return Release({}, "its redis stood still for too long: it begins again", Duration{0});
  }
  Open(event.status);
}

// Gives up the promotion: whoever has promised is free again. `pause`: how long this member waits before it stands
// again.
void Core::Impl::Release(const Identity& ceded_to, std::string why, Duration pause) {
  if (winning_->inherits) Respond(winning_->inherits->reply, TakeOverReply{MakeHeader(), false, why, {}});
  switch_call_.reset();
  for (const auto& [endpoint, target] : winning_->targets) {
    Ask(CallKind::kLead, endpoint, LeadRequest{MakeHeader(), LeadPhase::kReleased, winning_->claim, {}, {}, ceded_to},
        config_.leader_timeout / 2);
  }
  winning_.reset();
  promise_.reset();
  frozen_.reset();
  EnterJoining(std::move(why), now_ + pause);
  joining_.since = now_;
}

// Whoever comes first in the alphabetical order of addresses stands again first.
Duration Core::Impl::RankPause() const {
  int64_t rank = 1;
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (!peer.gone && !peer.stranger() && endpoint.ip < config_.self.ip) ++rank;
  }
  return rank * kRetryInterval;
}

void Core::Impl::OnPrepareReply(Peer& peer, const PrepareReply& reply) {
  const auto it = winning_->targets.find(peer.coordinator);
  if (it == winning_->targets.end() || winning_->promoting) return;
  if (reply.verdict == PrepareVerdict::kPrepared) {
    it->second.answered = true;
    it->second.standing = reply.standing;
    it->second.identity = peer.identity;
    peer.report.standing = reply.standing;
    return;
  }
  const Claim& holder = reply.holder;
  if (holder.empty() || holder.leader == config_.self || Absurd(holder.term, /*asked=*/true)) return;
  // Whoever follows the lost leader may not have noticed yet; later than leader_timeout it has heard it after our
  // proof. So it has if that leader has taken a higher term since.
  const bool is_lost = holder.leader == winning_->lost.leader && holder.term <= winning_->lost.term &&
                       winning_->evidence == Evidence::kProof &&
                       holder.leader != peer.identity;  // its own word ends it
  if (is_lost && now_ - candidacy_->began <= config_.leader_timeout) return;
  highest_term_ = std::max(highest_term_, holder.term);
  const Peer* known = peers_.Find(holder.coordinator);
  const bool foreign =
      known != nullptr && known->report.key && IsForeign(holder, known->report.dataset, known->report.lineage);
  if (foreign) {
    it->second.awaited = false;  // it belongs to another dataset's leader, with whom we settle afterwards
    return;
  }
  if (Peer* winner = peers_.Add(holder.coordinator); winner != nullptr && !winner->greeting)
    winner->next_greeting = now_;
  Release({}, peer.coordinator.ip + " has promised itself to " + ToString(holder), RankPause());
}

// ------------------------------------------------------------------------------------------------ the other side

void Core::Impl::DrivePromise() {
  const auto silent = [&](const std::optional<Promise>& promise) {
    return promise && promise->claim.leader != config_.self && now_ - promise->heard > config_.leader_timeout;
  };
  if (silent(promise_)) {
    NoteLine(Note::Level::kWarning,
             ToString(promise_->claim.leader) + " won the election but fell silent: electing anew");
    promise_.reset();
  }
  if (silent(promoting_heard_)) promoting_heard_.reset();
}

void Core::Impl::OnPrepare(RequestId id, const PrepareRequest& request) {
  const Claim& claim = request.claim;
  const auto refuse = [&](const Claim& holder) {
    Respond(id, PrepareReply{MakeHeader(), PrepareVerdict::kRefused, OwnStanding(), holder});
  };
  if (claim.leader != request.header.self || claim.term == 0 || Absurd(claim.term, /*asked=*/false)) {
    return refuse({});
  }
  highest_term_ = std::max(highest_term_, claim.term);
  LearnLineage(request.lineage);
  if (role_ == Role::kLeading) {
    CheckRival(claim, request.header.coordinator);
    if (!leading_->rival || !InDoubt()) return refuse(leading_->claim);  // fenced, until that one has given up
    Resign("in doubt, and " + ToString(claim) + " has won an election");
  }
  if (role_ == Role::kPromoting) return refuse(winning_->claim);
  if (role_ == Role::kFollowing) {
    if (following_->claim.leader == claim.leader && claim.term > following_->claim.term) {
      LoseLeader(Evidence::kProof, claim.leader.ip + " promotes itself anew");
    } else if (HearsLeader()) {
      return refuse(following_->claim);
    } else {
      LoseLeader(Evidence::kSilence, "not heard for leader_timeout");
    }
  }
  if (Promised() && promise_->claim.leader != claim.leader) return refuse(promise_->claim);
  promise_ = Promise{claim, now_};
  promoting_heard_ = promise_;
  if (role_ == Role::kElecting) EnterJoining("prepares for " + ToString(claim), now_);
  owed_.push_back(Owed{id, Owed::Kind::kPrepare, claim, false});
  if (!redis_.up()) return PayOwedPrepares(OwnStanding());
  if (!Outstanding(CallKind::kPark)) Command(CallKind::kPark, {RedisCommand::Kind::kPark, {}});
}

void Core::Impl::PayOwedPrepares(const Standing& standing) {
  std::vector<Owed> due;
  std::erase_if(owed_, [&](const Owed& owed) {
    if (owed.kind != Owed::Kind::kPrepare) return false;
    due.push_back(owed);
    return true;
  });
  for (const Owed& owed : due) {
    const bool still = promise_ && promise_->claim == owed.claim;
    PrepareReply reply{MakeHeader(), still ? PrepareVerdict::kPrepared : PrepareVerdict::kRefused, standing, {}};
    if (!still && promise_) reply.holder = promise_->claim;
    Respond(owed.id, std::move(reply));
  }
}

void Core::Impl::OnLead(RequestId id, const LeadRequest& request) {
  Respond(id, LeadReply{MakeHeader()});
  const Claim& claim = request.claim;
  if (claim.leader != request.header.self || claim.term == 0 || Absurd(claim.term, /*asked=*/false)) return;
  highest_term_ = std::max(highest_term_, claim.term);
  const bool promised_to_it = promise_ && promise_->claim.leader == claim.leader;
  switch (request.phase) {
    case LeadPhase::kPromoting: {
      if (promised_to_it) promise_->heard = now_;
      if (role_ == Role::kLeading) {
        CheckRival(claim, request.header.coordinator);
        Peer* peer = peers_.Find(claim.coordinator);
        if (peer != nullptr && !peer->greeting) Greet(*peer);  // let it know that somebody leads
      }
      const bool another = promoting_heard_ && promoting_heard_->claim.leader != claim.leader;
      if (!another || Beats(claim, promoting_heard_->claim)) promoting_heard_ = Promise{claim, now_};
      return;
    }
    case LeadPhase::kOpen:
      ConsiderLeader(claim, request.dataset, request.lineage);
      return;
    case LeadPhase::kReleased:
      if (promised_to_it) promise_.reset();
      ForgetRival(claim.leader);
      if (promoting_heard_ && promoting_heard_->claim.leader == claim.leader) promoting_heard_.reset();
      if (request.ceded_to == config_.self && (role_ == Role::kJoining || role_ == Role::kElecting)) {
        joining_.stand_not_before = now_;
        // Whoever is ceded to goes on with the same loss: the redis that was left behind is still to be looked after.
        const bool proved = !candidacy_ && ProvedLately();
        Stand(candidacy_ ? candidacy_->evidence
              : proved   ? Evidence::kProof
                         : Evidence::kLeaderless,
              candidacy_ ? candidacy_->lost
              : proved   ? proved_lost_
                         : Claim{});
      } else if (role_ == Role::kJoining && !request.ceded_to.empty()) {
        joining_.stand_not_before = std::max(joining_.stand_not_before, now_ + RankPause());
      }
      return;
  }
}

}  // namespace hive::election
