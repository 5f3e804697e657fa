// Leaving on purpose: a leader hands over to a follower, and no write is lost. Its side, the receiver's side, and
// whoever asked for it.
//
// The leader switches the redises (replication/switch.h: its own is parked, the follower holds all of it), and then, in
// one step, stops claiming and sends the right to lead. Only the receiver's own coordinator promotes the receiver's
// redis. An explicit refusal gives the leader its right back, at a new term; silence does not.
#include <algorithm>

#include "coordinator/election/core_impl.h"

namespace hive::election {

using replication::Switch;
using replication::SwitchAnswer;

namespace {

// One try may keep writes waiting for so long: a target that lags further behind is not worth it.
constexpr Duration kTryLimit = Seconds(1);
// For one command to another member's redis: a few round trips within a cluster, with a stall.
constexpr Duration kRemoteTimeout = Millis(200);
// A member of priority 0 that leads looks for somebody else so often.
constexpr Duration kReluctantInterval = Seconds(1);
// A promotion closes the replicas' links; they are back within milliseconds.
constexpr Duration kRelinkPause = Millis(100);
// Who waits for one handover.
constexpr size_t kMaxAskers = 64;

}  // namespace

Will Core::Impl::OwnWill() const { return {leaving_.has_value(), leaving_.has_value() || config_.priority == 0}; }

// ------------------------------------------------------------------------------------------ a switch's commands

void Core::Impl::DriveSwitch(Switch& change, bool old_is_local, const Endpoint& remote) {
  const auto ask = change.Next(now_);
  if (!ask) return;
  const bool local = (ask->side == Switch::Side::kOld) == old_is_local;
  if (local) {
    switch_call_ = Command(CallKind::kSwitch, ask->command);
    return;
  }
  switch_call_ = NewCall(CallKind::kSwitchRemote, {});
  out_.push_back(CommandRemote{*switch_call_, remote, ask->command, ask->run_id, kRemoteTimeout});
}

void Core::Impl::OnSwitchAnswer(CallId id, const SwitchAnswer& answer) {
  if (switch_call_ != id) return;
  switch_call_.reset();
  if (handover_ && handover_->change) handover_->change->OnAnswer(now_, answer);
  if (winning_ && winning_->takeover) winning_->takeover->OnAnswer(now_, answer);
}

void Core::Impl::On(const RemoteDone& event) {
  if (calls_.erase(event.id) == 0) return;
  SwitchAnswer answer;
  answer.error = event.error;
  answer.status = event.status;
  switch (event.outcome) {
    case RemoteDone::Outcome::kDone:
      answer.outcome = SwitchAnswer::Outcome::kDone;
      break;
    case RemoteDone::Outcome::kRefused:
      answer.outcome = SwitchAnswer::Outcome::kRefused;
      break;
    case RemoteDone::Outcome::kUnknown:
      answer.outcome = SwitchAnswer::Outcome::kUnknown;
      break;
    case RemoteDone::Outcome::kAnotherRun:
    case RemoteDone::Outcome::kUnreachable:
      answer.outcome = SwitchAnswer::Outcome::kNothing;
      break;
  }
  OnSwitchAnswer(event.id, answer);
}

// ----------------------------------------------------------------------------------------- asked to hand over

void Core::Impl::BeginHandover(std::string why, std::string wanted) {
  if (!leading_ || handover_) return;
  handover_.emplace();
  handover_->why = std::move(why);
  handover_->wanted = std::move(wanted);
  handover_->deadline = now_ + config_.handover_timeout;
}

void Core::Impl::On(const HandoverAsked& event) {
  const auto answer = [&](bool done, std::string detail) {
    out_.push_back(AnswerHandover{event.id, done, std::move(detail), published_.claim});
  };
  if (leading_) {
    if (const std::string why = JoinHandover(event.to); !why.empty()) return answer(event.to == config_.self.ip, why);
    handover_->people.push_back(event.id);
    return;
  }
  if (!following_ || !HearsLeader()) return answer(false, "nobody leads now: there is nothing to hand over");
  const CallId id = NewCall(CallKind::kHandOver, following_->claim.coordinator);
  calls_.at(id).asked_by = event.id;
  const Duration patience = config_.handover_timeout + config_.leader_timeout;
  out_.push_back(SendRequest{id, following_->claim.coordinator, HandOverRequest{MakeHeader(), event.to}, patience});
}

void Core::Impl::OnHandOver(RequestId id, const HandOverRequest& request) {
  std::string why = leading_ ? JoinHandover(request.to) : config_.self.ip + " does not lead any more: ask again";
  if (why.empty()) {
    handover_->members.push_back(id);
    return;
  }
  const bool done = leading_ && request.to == config_.self.ip;
  Respond(id, HandOverReply{MakeHeader(), done, std::move(why), leading_ ? leading_->claim : Claim{}});
}

// Begins a handover, or joins the one under way. Else says why not.
std::string Core::Impl::JoinHandover(const std::string& wanted) {
  if (wanted == config_.self.ip) return wanted + " leads already";
  if (handover_ && handover_->people.size() + handover_->members.size() >= kMaxAskers) return "too many ask at once";
  if (handover_ && !wanted.empty() && handover_->wanted != wanted) {
    return "another handover is under way (" + handover_->why + "): ask again when it is over";
  }
  BeginHandover("asked for", wanted);
  return "";
}

void Core::Impl::OnHandOverReply(const Call& call, const HandOverReply& reply) {
  if (call.asked_by) out_.push_back(AnswerHandover{*call.asked_by, reply.done, reply.detail, reply.leader, reply.late});
}

void Core::Impl::EndHandover(bool done, std::string detail, const Claim& leader) {
  const Handover over = std::move(*handover_);
  handover_.reset();
  ++(done ? tally_.handed_over : tally_.not_handed_over);
  NoteLine(done ? Note::Level::kInfo : Note::Level::kWarning,
           (done ? "handed over to " + ToString(leader) + " (" : std::string("did not hand over (")) + over.why +
               "): " + detail);
  const bool late = !done && now_ >= over.deadline;
  for (const RequestId id : over.people) out_.push_back(AnswerHandover{id, done, detail, leader, late});
  for (const RequestId id : over.members) Respond(id, HandOverReply{MakeHeader(), done, detail, leader, late});
}

// ------------------------------------------------------------------------------------------- the leader's side

// The follower with the best standing and a live link among the willing, or among those of priority 0. `waiting`: one
// of them may come to fit.
const Follower* Core::Impl::BestTarget(bool willing, bool& waiting) const {
  const Handover& h = *handover_;
  const Follower* best = nullptr;
  for (const auto& [id, follower] : leading_->followers) {
    if (follower.identity.empty() || h.failed.contains(follower.identity) || follower.will.leaving) continue;
    if (follower.will.reluctant == willing || (!h.wanted.empty() && follower.identity.ip != h.wanted)) continue;
    waiting = true;
    const bool fit = follower.link_up && follower.standing.available && !follower.standing.empty &&
                     now_ - follower.heard <= config_.leader_timeout / 2;
    if (!fit) continue;
    const bool better = best == nullptr || HoldsLess(best->standing, follower.standing) ||
                        (!HoldsLess(follower.standing, best->standing) && follower.identity.ip < best->identity.ip);
    if (better) best = &follower;
  }
  return best;
}

// False: nobody fits now; `hopeless` when waiting is of no use. A leader that ends takes one of priority 0 rather than
// none: that one hands over again as soon as it can, and nobody notices.
bool Core::Impl::ChooseTarget(bool& hopeless) {
  Handover& h = *handover_;
  bool waiting = false;
  const Follower* best = BestTarget(/*willing=*/true, waiting);
  hopeless = !waiting;
  for (const auto& [endpoint, peer] : peers_.all()) {  // whoever is about to follow may be the one
    const bool wanted = h.wanted.empty() || endpoint.ip == h.wanted;
    if (peer.listed && !peer.gone && !Follows(peer) && !peer.report.will.reluctant && wanted) hopeless = false;
  }
  const bool last_resort = leaving_ && (hopeless || now_ + kTryLimit >= h.deadline);
  if (best == nullptr && last_resort) best = BestTarget(/*willing=*/false, waiting);
  if (best == nullptr) return false;
  h.target = best->identity;
  h.target_coordinator = best->coordinator;
  h.target_redis = {best->coordinator.ip, config_.redis.port};
  return true;
}

void Core::Impl::DriveHandover() {
  // It may have been asked to leave while it was about to lead, or while another handover was under way.
  if (!handover_ && leaving_ && !leaving_->tried) {
    leaving_->tried = true;
    BeginHandover("leaving", "");
  }
  if (!handover_) {
    const bool reluctant = OwnWill().reluctant && !leaving_ && now_ >= leading_->next_reluctant;
    if (!reluctant || FollowersInSync() == 0) return;
    leading_->next_reluctant = now_ + kReluctantInterval;
    BeginHandover("priority 0", "");
  }
  Handover& h = *handover_;
  if (h.offered || h.taking_back || now_ < h.next_try) return;
  if (!h.change) {
    bool hopeless = false;
    if (!ChooseTarget(hopeless)) {
      if (!hopeless && now_ < h.deadline) return;
      if (!h.failed.empty() &&
          now_ + config_.leader_timeout < h.deadline) {  // what failed may have been a passing stall
        h.failed.clear();
        h.next_try = now_ + config_.leader_timeout / 4;
        return;
      }
      const std::string why =
          h.wanted.empty() ? "no follower can take over: none that is in sync and willing is heard"
                           : h.wanted + " cannot take over: it is no follower that is in sync, willing and heard";
      return EndHandover(false, h.failure.empty() ? why : h.failure, leading_->claim);
    }
    NoteLine(Note::Level::kInfo, "hands over to " + ToString(h.target) + " (" + h.why + ")");
    h.change.emplace(now_, std::min(kTryLimit, std::max(h.deadline - now_, kRetryInterval)));
  }
  if (stalled_ || InDoubt()) return FailTry("this leader stood still, or is in doubt");
  DriveSwitch(*h.change, /*old_is_local=*/true, h.target_redis);
  if (h.change->stage() == Switch::Stage::kFailed) return FailTry(h.change->failure());
  if (h.change->stage() == Switch::Stage::kDone) OfferTakeOver();
}

void Core::Impl::OfferTakeOver() {
  ++highest_term_;  // before the header, which says so, too
  TakeOverRequest offer{MakeHeader(),     leading_->claim, highest_term_,
                        CurrentDataset(), lineage_,        handover_->change->offset()};
  handover_->offered_term = offer.term;
  handover_->offered = NewCall(CallKind::kTakeOver, handover_->target_coordinator);
  out_.push_back(
      SendRequest{*handover_->offered, handover_->target_coordinator, std::move(offer), config_.leader_timeout / 2});
}

void Core::Impl::OnTakeOverReply(CallId id, const TakeOverReply& reply) {
  if (!handover_ || handover_->offered != id) return;
  const bool sound = reply.claim.leader == handover_->target && reply.claim.term == handover_->offered_term &&
                     !reply.claim.redis.empty();
  if (!reply.accepted || !sound) return FailTry(reply.reason.empty() ? "an answer that makes no sense" : reply.reason);
  HandedOver(reply.claim, "");
}

// No answer. Not delivered: nothing has happened. Else the target may lead by now, and this member must not.
void Core::Impl::OnTakeOverFailed(CallId id, Failure failure) {
  if (!handover_ || handover_->offered != id) return;
  if (failure == Failure::kRefused || failure == Failure::kUnreachable) return FailTry("its coordinator is gone");
  const Claim presumed{handover_->offered_term, wall_, handover_->target, handover_->target_coordinator,
                       handover_->target_redis};
  HandedOver(presumed, "; " + presumed.leader.ip + " has not confirmed that it leads");
}

void Core::Impl::HandedOver(const Claim& successor, const std::string& but) {
  const Duration held = now_ - handover_->change->began();
  EndHandover(true, "writes waited for " + std::to_string(ToMillis(held)) + " ms" + but, successor);
  LeaveLeadership(LeaderState::kYielded, successor);
  StartFollowing(successor, "handed over to " + ToString(successor));
}

// This target will not do. The redis goes on as before: unpaused, and, if it was parked, promoted again at a new term,
// above that of any offer that may still be under way.
void Core::Impl::FailTry(const std::string& why) {
  Handover& h = *handover_;
  h.failure = "could not hand over to " + h.target.ip + ": " + why;
  NoteLine(Note::Level::kWarning, h.failure);
  h.failed.insert(h.target);
  h.offered.reset();
  switch_call_.reset();
  if (h.change->parked()) {
    h.taking_back = true;
    Command(CallKind::kTakeBack, {RedisCommand::Kind::kPromote, {}});
    return;
  }
  if (h.change->paused()) Command(CallKind::kSwitch, {RedisCommand::Kind::kUnpause, {}});
  h.change.reset();
}

void Core::Impl::OnTakenBack(const RedisDone& event) {
  if (!handover_ || !handover_->taking_back) return;
  handover_->taking_back = false;
  if (!event.ok || !event.status.is_master) {
    return Resign("its redis, parked for a handover that failed, could not be promoted again: " + event.error);
  }
  if (handover_->change->paused()) Command(CallKind::kSwitch, {RedisCommand::Kind::kUnpause, {}});
  handover_->change.reset();
  leading_->claim.term = ++highest_term_;
  Append(lineage_, {leading_->claim.term, event.status.replication_id, event.status.offset});
  handover_->next_try = now_ + kRelinkPause;
  AnnounceOpen();
}

// ----------------------------------------------------------------------------------------- the receiver's side

void Core::Impl::OnTakeOver(RequestId id, const TakeOverRequest& request) {
  const std::string why = WhyNotTakeOver(request);
  if (!why.empty()) return Respond(id, TakeOverReply{MakeHeader(), false, why, {}});
  Winning winning;
  winning.claim = {request.term, wall_, config_.self, config_.coordinator, config_.redis};
  winning.evidence = Evidence::kProof;
  winning.lost = following_->claim;
  winning.began = winning.stage_began = winning.next_announcement = now_;
  winning.inherits = Inheritance{id, request.offset, request.ending.term};
  dataset_ = request.dataset;
  dataset_as_of_ = now_;
  lineage_ = request.lineage;
  highest_term_ = std::max(highest_term_, request.term);
  CloseFollowStream();
  candidacy_.reset();
  promise_ = Promise{winning.claim, now_};
  winning_ = std::move(winning);
  EnterRole(Role::kPromoting, "takes over from " + ToString(request.ending));
  Command(CallKind::kInherit, {RedisCommand::Kind::kRead, {}});
}

std::string Core::Impl::WhyNotTakeOver(const TakeOverRequest& request) const {
  const Claim& ending = request.ending;
  if (role_ != Role::kFollowing || ending.leader != request.header.self || following_->claim.leader != ending.leader ||
      following_->claim.term != ending.term) {
    return "it does not follow " + ToString(ending);
  }
  if (request.term <= ending.term || request.term < highest_term_ || Absurd(request.term, /*asked=*/false))
    return "the term is not the next";
  if (leaving_) return "it is leaving itself";
  if (stalled_ || now_ - following_->heard > config_.leader_timeout / 2) return "it has not heard its leader of late";
  if (Promised() || promoting_heard_) return "it has promised itself to another winner";
  if (InDoubt()) return "it is in doubt";
  if (!OwnStanding().available || !replication::InSyncWith(redis_.status(), following_->claim.redis)) {
    return "its redis is not in sync";
  }
  return "";
}

// The redis read once more, right before it is promoted: all that the parked one held must be here.
void Core::Impl::OnInheritRead(const RedisDone& event) {
  if (role_ != Role::kPromoting || !winning_->inherits) return;
  if (!event.ok) return Release({}, "its redis does not answer: " + event.error, Duration{0});
  if (event.status.is_master || event.status.offset < winning_->inherits->offset) {
    return Release({}, "its redis does not hold all that was handed over", Duration{0});
  }
  winning_->own = OwnStanding();
  winning_->parked = winning_->promoting = true;
  winning_->stage_began = now_;
  Command(CallKind::kPromote, {RedisCommand::Kind::kPromote, {}});
}

// ---------------------------------------------------------------------------------------------------- leaving

void Core::Impl::On(const LeaveAsked&) {
  if (leaving_) return;
  leaving_ = Leaving{now_ + config_.handover_timeout};
  NoteLine(Note::Level::kInfo, "leaves the hive: asked to end");
  if (following_) Report();
}

// May it end? A follower once its leader knows; a leader once another one leads, or nobody can.
void Core::Impl::DriveLeaving() {
  if (!leaving_ || leaving_->left) return;
  bool done = false;
  switch (role_) {
    case Role::kFollowing:
      done = following_->confirmed && following_->knows_leaving;
      break;
    case Role::kLeading:
      done = !handover_ && leaving_->tried;
      break;
    case Role::kJoining:
      done = !redis_.holds_data();
      break;
    case Role::kElecting:
    case Role::kPromoting:
      break;
  }
  const bool out_of_time = now_ >= leaving_->deadline && !(handover_ && (handover_->offered || handover_->taking_back));
  if (!done && !out_of_time) return;
  if (role_ != Role::kFollowing && redis_.holds_data()) {
    NoteLine(Note::Level::kWarning, "leaves without a successor: what only its redis holds (" +
                                        ToString(OwnStanding()) + ") is lost when that ends");
  }
  leaving_->left = true;
  NoteLine(Note::Level::kInfo, "has left the hive");
  out_.push_back(Left{});
}

}  // namespace hive::election
