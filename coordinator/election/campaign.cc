// A round of an election: everyone is asked, and whoever may win waits until the round closes.
#include <algorithm>
#include <tuple>

#include "coordinator/election/core_impl.h"

namespace hive::election {

void Core::Impl::Stand(Evidence evidence, Claim lost) {
  const Standing own = OwnStanding();
  if (!own.available || (own.empty && evidence != Evidence::kBootstrap)) {
    return EnterJoining(own.available ? "its redis is empty: it defers" : "its redis is not available", now_);
  }
  if (!candidacy_) {
    candidacy_.emplace();
    candidacy_->started = wall_;
    candidacy_->began = now_;
  }
  candidacy_->evidence = evidence;
  candidacy_->lost = std::move(lost);
  if (forced_) candidacy_->started = kFirstOfAll;
  candidacy_->patience_over = evidence == Evidence::kBootstrap && (joining_.patience_over || forced_);
  EnterRole(Role::kElecting, std::string("stands (") + Name(evidence) + ")");
  out_.push_back(ResolveNow{});
  BeginRound();
}

void Core::Impl::BeginRound() {
  ++epoch_;  // answers to an earlier round no longer count
  candidacy_->round_began = now_;
  candidacy_->term = highest_term_ + 1;
  candidacy_->asked = false;
  candidacy_->answers.clear();
  candidacy_->asked_at.clear();
  candidacy_->deferred.reset();
  candidacy_->deferred_to.reset();
  Command(CallKind::kReadForRound, {RedisCommand::Kind::kRead, {}});
}

void Core::Impl::OnRoundReading(const RedisDone& event) {
  if (role_ != Role::kElecting) return;
  const Standing own = OwnStanding();
  if (!event.ok || !own.available || (own.empty && candidacy_->evidence != Evidence::kBootstrap)) {
    return EnterJoining("its redis is not fit to lead", now_ + kRetryInterval);
  }
  frozen_ = Frozen{own, now_};
  candidacy_->asked = true;
}

void Core::Impl::AskCampaign(Peer& peer) {
  candidacy_->asked_at[peer.coordinator] = now_;
  CampaignRequest request{.header = MakeHeader(),
                          .term = candidacy_->term,
                          .started = candidacy_->started,
                          .standing = frozen_->standing,
                          .evidence = candidacy_->evidence,
                          .reluctant = OwnWill().reluctant,
                          .lost = candidacy_->lost.leader,
                          .lineage = lineage_};
  Ask(CallKind::kCampaign, peer.coordinator, std::move(request), config_.election_window);
}

void Core::Impl::DriveElecting() {
  if (!candidacy_->asked || !frozen_) return;
  if (candidacy_->deferred) {
    const Peer* winner = peers_.Find(*candidacy_->deferred_to);
    const bool vanished = winner == nullptr || winner->gone;
    if (!promoting_heard_ && !Promised() && (vanished || now_ - *candidacy_->deferred >= config_.leader_timeout))
      BeginRound();
    return;
  }
  const bool doubts = candidacy_->evidence != Evidence::kBootstrap && InDoubt();
  const bool waits = !forced_ && (doubts || (candidacy_->evidence != Evidence::kBootstrap && AloneInTheDark()));
  for (auto& [endpoint, peer] : peers_.all()) {
    if (peer.stranger()) continue;
    // In doubt, those that refused are asked again, too: a firewall may have spoken for them.
    if ((peer.gone && !doubts) || candidacy_->answers.contains(endpoint)) continue;
    const auto asked = candidacy_->asked_at.find(endpoint);
    if (asked == candidacy_->asked_at.end() || now_ - asked->second >= kRetryInterval) AskCampaign(peer);
  }
  if (waits && now_ - candidacy_->round_began >= config_.leader_timeout)
    return BeginRound();  // what was answered is old
  if (!waits && RoundClosed()) return CloseRound();
  if (candidacy_->evidence == Evidence::kBootstrap && now_ - candidacy_->round_began >= config_.leader_timeout) {
    EnterJoining("a listed member is silent and may hold the data", now_ + kRetryInterval);
  }
}

bool Core::Impl::RoundClosed() const {
  const bool bootstrap = candidacy_->evidence == Evidence::kBootstrap;
  const Instant window_ends = candidacy_->round_began + config_.election_window;
  Standing best = frozen_->standing;
  for (const auto& [endpoint, answer] : candidacy_->answers) {
    if (HoldsLess(best, answer.standing)) best = answer.standing;
  }
  bool everyone = true;
  bool spoke = false;    // somebody who has not answered is there all the same
  bool awaited = false;  // somebody silent who may hold no less than the best here
  bool others_listed = false;
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (candidacy_->answers.contains(endpoint)) continue;
    if (peer.gone && (!bootstrap || ProvedEmptyHanded(peer))) continue;
    const bool forgotten = !peer.listed && (!peer.heard || now_ - *peer.heard > config_.leader_timeout);
    if (forgotten) continue;
    everyone = false;
    const std::optional<Instant> word = std::max(peer.heard, peer.stranger_heard);
    spoke |= peer.listed && word && *word >= candidacy_->round_began;
    others_listed |= peer.listed;
    const bool is_lost = !candidacy_->lost.empty() && peer.identity == candidacy_->lost.leader;
    if (is_lost || !peer.listed || !peer.heard || !peer.met()) continue;
    if (!HoldsLess(peer.report.standing, best) && now_ < *peer.heard + config_.leader_timeout) awaited = true;
  }
  if (everyone) return true;
  if (now_ < window_ends) return false;
  if (forced_) return !(spoke || awaited) || now_ >= candidacy_->round_began + config_.leader_timeout;
  if (bootstrap) return candidacy_->patience_over && !spoke;
  if (awaited) return false;
  const bool on_proof = candidacy_->evidence == Evidence::kProof;
  if (!on_proof && candidacy_->answers.empty() && others_listed) return now_ >= window_ends + config_.leader_timeout;
  return true;
}

bool Core::Impl::Wins(const Answer& candidate, const Answer& other) const {
  if (config_.defer_to_fresher) {
    if (HoldsLess(other.standing, candidate.standing)) return true;
    if (HoldsLess(candidate.standing, other.standing)) return false;
  } else if (candidate.standing.empty != other.standing.empty) {
    return !candidate.standing.empty;
  }
  if (candidate.reluctant != other.reluctant) return other.reluctant;
  return std::tie(candidate.started, candidate.identity.ip) < std::tie(other.started, other.identity.ip);
}

void Core::Impl::CloseRound() {
  const Answer own{CampaignVerdict::kCandidacy, candidacy_->started, frozen_->standing, config_.self,
                   OwnWill().reluctant};
  Answer best = own;
  std::optional<Endpoint> winner;
  for (const auto& [endpoint, answer] : candidacy_->answers) {
    if (answer.verdict != CampaignVerdict::kCandidacy || !Wins(answer, best)) continue;
    best = answer;
    winner = endpoint;
  }
  if (!winner && !promoting_heard_ && !Promised()) return Win(candidacy_->answers);
  candidacy_->deferred = now_;
  candidacy_->deferred_to = winner             ? *winner
                            : promoting_heard_ ? promoting_heard_->claim.coordinator
                                               : promise_->claim.coordinator;
}

void Core::Impl::TakeAnswer(Peer& peer, Answer answer) {
  peer.report.standing = answer.standing;
  if (!candidacy_ || role_ != Role::kElecting || !candidacy_->asked) return;
  if (candidacy_->evidence == Evidence::kBootstrap && !answer.standing.empty && !candidacy_->patience_over) {
    if (!answer.standing.available) return;  // it holds data but cannot lead now: it blocks, as a silent one does
    candidacy_.reset();
    return EnterJoining(peer.coordinator.ip + " has data: a new dataset is not needed", now_ + kRetryInterval);
  }
  candidacy_->answers[peer.coordinator] = std::move(answer);
}

void Core::Impl::OnCampaignReply(Peer& peer, const CampaignReply& reply) {
  if (reply.verdict != CampaignVerdict::kLeader) {
    return TakeAnswer(peer, {reply.verdict, reply.started, reply.standing, peer.identity, reply.reluctant});
  }
  const Claim& leader = reply.leader;
  if (Absurd(leader.term, /*asked=*/true)) return;
  if (leader.empty() || leader.leader == config_.self) return;  // it has not noticed yet that we lead no more
  highest_term_ = std::max(highest_term_, leader.term);
  const Peer* known = peers_.Find(leader.coordinator);
  const bool foreign =
      known != nullptr && known->report.key && IsForeign(leader, known->report.dataset, known->report.lineage);
  if (foreign) return TakeAnswer(peer, {CampaignVerdict::kDeferral, 0, {}, peer.identity});
  if (reply.heard_ago < config_.leader_timeout) StandBack(leader);
}

void Core::Impl::StandBack(const Claim& leader) {
  if (forced_) EndForced(AnswerLead::Outcome::kRefused, leader.leader.ip + " leads, and others hear it");
  candidacy_.reset();
  proved_lost_ = {};
  EnterJoining(ToString(leader) + " is still heard by others", now_ + 2 * kRetryInterval);
  if (Peer* peer = peers_.Add(leader.coordinator); peer != nullptr && !peer->greeting) Greet(*peer);
}

// --------------------------------------------------------------------------------------------------- being asked

void Core::Impl::ReplyLeader(RequestId id, const Claim& leader, Duration heard_ago) {
  CampaignReply reply;
  reply.header = MakeHeader();
  reply.verdict = CampaignVerdict::kLeader;
  reply.standing = OwnStanding();
  reply.leader = leader;
  reply.heard_ago = heard_ago;
  Respond(id, std::move(reply));
}

void Core::Impl::OnCampaign(RequestId id, const CampaignRequest& request) {
  Peer* peer = peers_.Find(request.header.coordinator);
  LearnLineage(request.lineage);
  if (promise_ && promise_->claim.leader == request.header.self) promise_.reset();  // it has given up, and stands anew
  if (promoting_heard_ && promoting_heard_->claim.leader == request.header.self) promoting_heard_.reset();
  if (role_ == Role::kLeading) return ReplyLeader(id, leading_->claim, Duration{0});
  if (role_ == Role::kPromoting) return ReplyLeader(id, winning_->claim, Duration{0});
  if (role_ == Role::kFollowing) {
    const Claim& leader = following_->claim;
    const bool lost_on_proof = leader.leader == request.lost && request.evidence == Evidence::kProof;
    if (lost_on_proof || leader.leader == request.header.self) {
      // Look for ourselves: is its process there, and does it still say that it leads?
      OweCampaign(id, /*on_proof=*/true);
      if (Peer* lost = peers_.Find(leader.coordinator)) {
        BeginProof(*lost);
        if (!lost->greeting) Greet(*lost);
      }
      return;
    } else if (HearsLeader()) {
      return ReplyLeader(id, leader, now_ - following_->heard);
    }
  }
  if (Promised() && promise_->claim.leader != request.header.self) {
    return ReplyLeader(id, promise_->claim, now_ - promise_->heard);
  }
  TakeAnswer(*peer,
             {CampaignVerdict::kCandidacy, request.started, request.standing, request.header.self, request.reluctant});
  OweCampaign(id, /*on_proof=*/false);
  const bool may_stand =
      OwnStanding().available && redis_.holds_data() && !Promised() && MayStand() && !DemotedBySwitch() && !IsOutcast();
  if (role_ == Role::kJoining && may_stand && now_ >= joining_.stand_not_before) Stand(Evidence::kLeaderless, {});
  FreezeForAnswer();
}

void Core::Impl::OweCampaign(RequestId id, bool on_proof) {
  constexpr size_t kMaxOwed = 1024;  // each is one outstanding call of a peer, which gives up by itself
  if (owed_.size() >= kMaxOwed) owed_.erase(owed_.begin());
  owed_.push_back(Owed{id, Owed::Kind::kCampaign, {}, on_proof});
}

// A standing read after the loss, the same for everyone who asks in this round.
void Core::Impl::FreezeForAnswer() {
  const bool fresh = frozen_ && now_ - frozen_->read < config_.election_window;
  if (fresh || !redis_.up()) return PayOwedCampaigns();
  if (Outstanding(CallKind::kReadForRound) || Outstanding(CallKind::kReadForAnswer)) return;
  Command(CallKind::kReadForAnswer, {RedisCommand::Kind::kRead, {}});
}

void Core::Impl::PayOwedCampaigns() {
  std::vector<RequestId> due;
  std::erase_if(owed_, [&](const Owed& owed) {
    if (owed.kind != Owed::Kind::kCampaign || owed.on_proof) return false;
    due.push_back(owed.id);
    return true;
  });
  for (const RequestId id : due) {
    if (const std::optional<Claim> leader = LiveLeader()) {
      ReplyLeader(id, *leader, following_ ? now_ - following_->heard : Duration{0});
      continue;
    }
    CampaignReply reply;
    reply.header = MakeHeader();
    reply.standing = frozen_ && redis_.up() ? frozen_->standing : OwnStanding();
    const bool stands = role_ == Role::kElecting || (reply.standing.available && !reply.standing.empty && MayStand());
    if (stands && !candidacy_) {
      candidacy_.emplace();
      candidacy_->started = wall_;
      candidacy_->began = now_;
    }
    reply.verdict = stands ? CampaignVerdict::kCandidacy : CampaignVerdict::kDeferral;
    reply.reluctant = stands && OwnWill().reluctant;
    reply.started = stands ? candidacy_->started : 0;
    Respond(id, std::move(reply));
  }
}

// Our own look at the leader that somebody else has lost on proof is over.
void Core::Impl::AnswerOnProof(bool leader_lives) {
  bool waiting = false;
  for (Owed& owed : owed_) {
    if (owed.kind != Owed::Kind::kCampaign || !owed.on_proof) continue;
    owed.on_proof = false;
    waiting = true;
  }
  if (!waiting) return;
  if (leader_lives) {
    PayOwedCampaigns();
  } else {
    FreezeForAnswer();
  }
}

std::optional<Claim> Core::Impl::LiveLeader() const {
  if (leading_) return leading_->claim;
  if (winning_) return winning_->claim;
  if (following_ && HearsLeader()) return following_->claim;
  if (Promised()) return promise_->claim;
  return std::nullopt;
}

}  // namespace hive::election
