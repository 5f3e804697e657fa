#include "coordinator/election/core.h"

#include <algorithm>
#include <utility>

#include "coordinator/election/core_impl.h"

namespace hive::election {

namespace {

// "REPLICAOF NO ONE" -> "REPLICAOF".
std::string FirstWord(const std::string& text) { return text.substr(0, text.find(' ')); }

// Redis's own errors begin with a code in capitals, or with the command that it refuses; ours do not. -BUSY and
// -LOADING pass.
bool RedisSaidNo(const RedisDone& event) {
  std::string code = FirstWord(event.error);
  if (code.ends_with(':')) code.pop_back();  // a command of one word
  const bool capitals =
      code.size() > 1 && std::all_of(code.begin(), code.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  return !event.ok && capitals && code != "BUSY" && code != "LOADING";
}

// Whoever has not been heard for so long is late: what was heard last is a beat old just before the next one comes.
Duration LateAfter(const Config& config) { return config.beat_interval * 3 / 2; }

}  // namespace

Core::Core(Config config) : impl_(std::make_unique<Impl>(std::move(config))) {}
Core::~Core() = default;
Core::Core(Core&&) noexcept = default;
Core& Core::operator=(Core&&) noexcept = default;

Actions Core::Step(Instant now, WallMicros wall, const Event& event) { return impl_->Step(now, wall, event); }
Duration Core::TickInterval() const { return impl_->TickInterval(); }
State Core::state(Instant now) const { return impl_->GetState(now); }

Core::Impl::Impl(Config config)
    : config_(std::move(config)), random_(config_.seed ^ config_.self.incarnation), peers_(config_.coordinator) {
  if (config_.memory) highest_term_ = config_.memory->term;
}

Actions Core::Impl::Step(Instant now, WallMicros wall, const Event& event) {
  if (!has_stepped_) {
    has_stepped_ = true;
    last_step_ = started_at_ = listed_since_ = dataset_as_of_ = joining_.since = now;
  }
  out_.clear();
  now_ = std::max(now, last_step_);
  wall_ = wall;
  stalled_ = now_ - last_step_ > config_.leader_timeout / 2;
  last_step_ = now_;

  std::visit([this](const auto& e) { On(e); }, event);

  DriveDoubt();
  DrivePromise();
  DriveProofs();
  if (role_ == Role::kFollowing) DriveFollowing();
  if (role_ == Role::kLeading) DriveLeading();
  if (role_ == Role::kPromoting) DrivePromoting();
  if (role_ == Role::kElecting) DriveElecting();
  if (role_ == Role::kJoining) DriveJoining();
  GreetPeers();
  ReconcileRedis();
  DriveForced();
  DriveLeaving();
  Publish(/*even_if_same=*/false);
  RememberIfChanged();
  return std::exchange(out_, {});
}

Duration Core::Impl::TickInterval() const {
  const bool dialling = std::any_of(peers_.all().begin(), peers_.all().end(),
                                    [](const auto& entry) { return entry.second.proof.has_value(); });
  const bool electing =
      role_ == Role::kElecting || role_ == Role::kPromoting || promise_ || promoting_heard_ || handover_;
  if (dialling || electing) return Millis(5);
  const Duration shortest = Millis(1);
  const Duration look = std::min(kLook, config_.beat_interval / 4);
  if (AtRest()) return std::max(shortest, NextWord() - now_);
  return leading_ ? std::clamp<Duration>(leading_->next_beat - now_, shortest, look) : look;
}

// Everybody is heard beat by beat, and nothing is under way: which is how a hive spends its days, and what it costs
// then is wake-ups. No silence can end anything before the next beat, so that nothing is decided later for the longer
// ticks.
bool Core::Impl::AtRest() const {
  if (!redis_.up() || leaving_ || doubts_) return false;
  const auto of_late = [&](Instant heard) { return now_ - heard < LateAfter(config_); };
  if (leading_) {
    const bool settled = leading_->writes.state == WriteState::kOpen && !leading_->rival && !leading_->asks_since &&
                         !leading_->yielding && leading_->assertions.empty() && leading_->orphans.empty();
    return settled && !HearsTooFew(config_.leader_timeout / 4) &&
           std::all_of(leading_->followers.begin(), leading_->followers.end(),
                       [&](const auto& entry) { return of_late(entry.second.heard); });
  }
  return following_ && following_->confirmed && following_->stream && published_.in_sync &&
         of_late(following_->heard) && !HearsTooFew(config_.leader_timeout / 2);
}

// When a leader's next beat is due, or a follower's report without one; at rest.
Instant Core::Impl::NextWord() const {
  if (leading_) return leading_->next_beat;
  return std::min(ReportDue(), following_->heard + LateAfter(config_));
}

// ------------------------------------------------------------------------------------------------------- events

void Core::Impl::On(const Tick&) {}

void Core::Impl::On(const PeersListed& event) {
  if (dns_silent_) NoteLine(Note::Level::kInfo, "DNS answers again");
  dns_silent_ = false;
  dns_answered_at_ = now_;
  if (peers_.OnListed(event.listed)) {
    listed_since_ = now_;
    if (role_ == Role::kJoining) joining_.since = now_;  // whoever is new has yet to be asked
  }
  peers_.ForgetUnlisted(now_, std::max(kUnlistedPatience, config_.doubt_timeout));
}

void Core::Impl::On(const PeersUnlisted& event) {
  dns_silent_ = true;
  const std::string next =
      peers_.answered() ? "going on with those last known" : "waiting for it (is --peers the headless service's name?)";
  Complain("dns", "DNS does not list the hive's members (" + event.detail + "): " + next);
}

void Core::Impl::On(const RedisReported& event) {
  const bool first = !redis_.known();
  const bool another_run = redis_.OnReport(event.status, config_.memory);
  const Duration since_last_reading = now_ - std::exchange(redis_read_at_, now_);
  if (first && role_ != Role::kFollowing && config_.memory && config_.memory->run_id == event.status.run_id) {
    dataset_ = config_.memory->dataset;
    lineage_ = config_.memory->lineage;
  }
  if (another_run) {
    if (!redis_.holds_data()) ++tally_.redis_came_empty;
    offsets_.clear();
    stale_reads_on_.clear();
    if (role_ != Role::kFollowing) dataset_ = {};  // what it holds now, if anything, is of unknown origin
    NoteLine(Note::Level::kWarning,
             "the local redis was restarted and is " +
                 std::string(redis_.holds_data() ? "not empty" : "empty: it defers to whoever has data"));
    if (role_ == Role::kLeading) return Resign("its redis was restarted");
    if (role_ == Role::kPromoting) return Release({}, "its redis was restarted", kRetryInterval);
    if (role_ == Role::kElecting) {
      frozen_.reset();
      return EnterJoining("its redis was restarted", now_);
    }
  }
  SampleOffset();
  RedisRoleCheck();
  WatchLink(since_last_reading);
}

void Core::Impl::RedisRoleCheck() {
  const RedisStatus& status = redis_.status();
  // A master that never had a replica draws a new replication id when its first one attaches.
  if (role_ == Role::kLeading && status.is_master && !lineage_.empty() && !status.busy) {
    lineage_.back().replication_id = status.replication_id;
  }
  LearnLeadersId();
  const bool switching = handover_ && handover_->change && handover_->change->parked();
  if (role_ == Role::kLeading && !status.is_master && !status.loading && !status.busy && !switching) {
    demoted_ = true;
    Resign("its redis was made a replica of " + hive::ToString(status.master) + " by someone else");
  }
}

// A first copy of the data may take minutes, and one that fails again and again looks like many: only the time between
// them counts.
void Core::Impl::WatchLink(Duration since_last_reading) {
  const RedisStatus& status = redis_.status();
  const bool ought = role_ == Role::kFollowing && following_->confirmed && !status.is_master &&
                     status.master == following_->claim.redis;
  if (!ought || status.link_up) {
    unlinked_ = Duration{0};
    return;
  }
  if (status.sync_in_progress || status.loading || status.busy) return;
  unlinked_ += std::min(since_last_reading, config_.leader_timeout);  // it may not have answered for long
  if (unlinked_ < kLinkPatience) return;
  Complain("no link",
           "the local redis gets no link to its leader's, " + hive::ToString(status.master) + ": its own log says why");
}

void Core::Impl::On(const RedisLost& event) {
  const bool was_up = redis_.up();
  redis_.OnLost();
  redis_trouble_ = event.detail;
  if (was_up) NoteLine(Note::Level::kWarning, "the local redis is gone: " + event.detail);
  if (role_ == Role::kLeading) Resign("its redis is gone");
  if (role_ == Role::kPromoting) Release({}, "its redis is gone", kRetryInterval);
  if (role_ == Role::kElecting) EnterJoining("its redis is gone", now_);
  PayOwedCampaigns();
  PayOwedPrepares(OwnStanding());
}

void Core::Impl::On(const RedisMute& event) {
  redis_.OnMute();
  redis_trouble_ = "mute for " + std::to_string(ToMillis(config_.redis_timeout)) + " ms: " + event.detail;
  NoteLine(Note::Level::kWarning, "the local redis: " + redis_trouble_);
  if (role_ == Role::kLeading) Resign("its redis does not answer");
  if (role_ == Role::kPromoting) Release({}, "its redis does not answer", kRetryInterval);
  if (role_ == Role::kElecting) EnterJoining("its redis does not answer", now_);
  PayOwedCampaigns();
  PayOwedPrepares(OwnStanding());
}

void Core::Impl::On(const RedisRefuses& event) {
  if (event.error.empty()) {
    refused_commands_.erase(event.command);
  } else {
    refused_commands_[event.command] = event.error;
  }
}

void Core::Impl::On(const RedisDone& event) {
  const auto it = calls_.find(event.id);
  if (it == calls_.end()) return;
  const Call call = it->second;
  calls_.erase(it);
  NoteOutcome(call, event);
  const bool current = call.epoch == epoch_;
  switch (call.kind) {
    case CallKind::kReadForRound:
      if (current) OnRoundReading(event);
      PayOwedCampaigns();
      break;
    case CallKind::kReadForAnswer:
      if (event.ok) frozen_ = Frozen{OwnStanding(), now_};
      PayOwedCampaigns();
      break;
    case CallKind::kPark:
      if (!event.ok) Complain("park", "the local redis refuses REPLICAOF: " + event.error);
      PayOwedPrepares(OwnStanding());
      if (current) OnParked(event);
      break;
    case CallKind::kPromote:
      if (current && role_ == Role::kPromoting) {
        OnPromoted(event);
      } else if (event.ok) {
        Command(CallKind::kReconcile, {RedisCommand::Kind::kPark, {}});  // promoted too late: others have gone on
      }
      break;
    case CallKind::kSwitch:
      OnSwitchAnswer(event.id, {event.ok             ? replication::SwitchAnswer::Outcome::kDone
                                : RedisSaidNo(event) ? replication::SwitchAnswer::Outcome::kRefused
                                                     : replication::SwitchAnswer::Outcome::kNothing,
                                event.error, event.status});
      break;
    case CallKind::kTakeBack:
      if (current) {
        OnTakenBack(event);
      } else if (event.ok && role_ != Role::kLeading) {
        Command(CallKind::kReconcile, {RedisCommand::Kind::kPark, {}});  // too late: it leads no more
      }
      break;
    case CallKind::kInherit:
      if (current) OnInheritRead(event);
      break;
    default:
      break;
  }
}

void Core::Impl::On(const RequestReceived& event) {
  const Header& header = HeaderOf(event.request);
  if (const std::string reason = RefusalOf(header, /*asked=*/false); !reason.empty()) {
    Complain("refused " + header.coordinator.ip, "refusing a message from " + header.coordinator.ip + ": " + reason);
    return Respond(event.id, Refusal{MakeHeader(), reason});
  }
  Peer* peer = Meet(header, std::nullopt);
  if (peer == nullptr) return OnUnknown(event.id, event.request);
  if (const auto* greet = std::get_if<GreetRequest>(&event.request)) {
    OnGreetReport(*peer, greet->report, nullptr);
    return Respond(event.id, GreetReply{MakeHeader(), MakeReport()});
  }
  if (const auto* campaign = std::get_if<CampaignRequest>(&event.request)) return OnCampaign(event.id, *campaign);
  if (const auto* prepare = std::get_if<PrepareRequest>(&event.request)) return OnPrepare(event.id, *prepare);
  if (const auto* lead = std::get_if<LeadRequest>(&event.request)) return OnLead(event.id, *lead);
  if (const auto* yield = std::get_if<YieldRequest>(&event.request)) return OnYield(event.id, *yield);
  if (const auto* take = std::get_if<TakeOverRequest>(&event.request)) return OnTakeOver(event.id, *take);
  OnHandOver(event.id, std::get<HandOverRequest>(event.request));
}

void Core::Impl::On(const ReplyReceived& event) {
  const auto it = calls_.find(event.id);
  if (it == calls_.end()) return;
  const Call call = it->second;
  calls_.erase(it);
  if (Peer* asked = peers_.Find(call.to)) {
    if (asked->greeting == event.id) asked->greeting.reset();
  }
  if (const auto* refusal = std::get_if<Refusal>(&event.reply)) {
    if (leading_ && leading_->yielding && leading_->yielding->first == event.id) leading_->yielding.reset();
    OnTakeOverReply(event.id, TakeOverReply{refusal->header, false, "refused: " + refusal->reason, {}});
    OnHandOverReply(call, {refusal->header, false, call.to.ip + " refuses: " + refusal->reason, {}});
    if (refusal->reason.empty()) {  // it does not know us yet, but it is there
      if (RefusalOf(refusal->header, /*asked=*/true).empty()) Meet(refusal->header, call.sent);
      return;
    }
    Complain("refused by " + call.to.ip, hive::ToString(call.to) + " refuses this member: " + refusal->reason);
    return;
  }
  const Header& header = HeaderOf(event.reply);
  if (const std::string reason = RefusalOf(header, /*asked=*/true); !reason.empty()) {
    return Complain("refused " + call.to.ip, "ignoring the answer of " + hive::ToString(call.to) + ": " + reason);
  }
  Peer* peer = Meet(header, call.sent);
  if (peer == nullptr) return;
  const bool current = call.epoch == epoch_;
  if (const auto* greet = std::get_if<GreetReply>(&event.reply)) return OnGreetReport(*peer, greet->report, &call);
  if (const auto* campaign = std::get_if<CampaignReply>(&event.reply)) {
    if (current && role_ == Role::kElecting) OnCampaignReply(*peer, *campaign);
    return;
  }
  if (const auto* prepare = std::get_if<PrepareReply>(&event.reply)) {
    if (current && role_ == Role::kPromoting) OnPrepareReply(*peer, *prepare);
    return;
  }
  if (const auto* yield = std::get_if<YieldReply>(&event.reply)) return OnYieldReply(*peer, event.id, *yield);
  if (const auto* taken = std::get_if<TakeOverReply>(&event.reply)) return OnTakeOverReply(event.id, *taken);
  if (const auto* handed = std::get_if<HandOverReply>(&event.reply)) OnHandOverReply(call, *handed);
}

void Core::Impl::On(const CallFailed& event) {
  const auto it = calls_.find(event.id);
  if (it == calls_.end()) return;
  const Call call = it->second;
  calls_.erase(it);
  if (leading_ && leading_->yielding && leading_->yielding->first == event.id) leading_->yielding.reset();
  OnTakeOverFailed(event.id, event.failure);
  OnHandOverReply(call, {{},
                         false,
                         "the leader, " + call.to.ip +
                             ", has not answered, or does not take it from here: ask in the leader's own pod",
                         {},
                         event.failure == Failure::kTimeout});
  Peer* peer = peers_.Find(call.to);
  if (peer == nullptr) return;
  if (peer->greeting == event.id) peer->greeting.reset();
  // Whoever was met, and is silent just now, may have been cut off after it spoke.
  if (call.kind == CallKind::kGreet) SettleAssertion(call.to, call.sent, event.failure == Failure::kTimeout);
  const bool is_our_leader = following_ && following_->claim.coordinator == call.to;
  if (peer->stranger() && !is_our_leader) {
    NoteRefused(RefusedFor::kStranger);
    return peers_.Forget(call.to);
  }
  if (event.failure == Failure::kTimeout) return;
  if (event.failure == Failure::kRejected) NoteRejection(*peer);
  if (!peer->gone) {
    BeginProof(*peer);
  } else if (call.kind == CallKind::kGreet) {
    ProbeRedisOf(*peer);  // still gone: look at its redis again
  }
}

// ------------------------------------------------------------------------------------------------ what is common

void Core::Impl::EnterRole(Role role, std::string why) {
  ++epoch_;
  if (role_ != role) {
    NoteLine(Note::Level::kInfo, std::string(Name(role)) + ": " + std::move(why));
    for (auto& [endpoint, peer] : peers_.all()) peer.clock_ahead = Duration{0};  // others are compared from now on
  }
  role_ = role;
}

void Core::Impl::NoteLine(Note::Level level, std::string text) { out_.push_back(Note{level, std::move(text)}); }

void Core::Impl::Complain(const std::string& topic, std::string text) {
  constexpr size_t kMaxComplaints = 1024;  // topics name peers: strangers must not grow this
  const auto it = complaints_.find(topic);
  if (it != complaints_.end() && now_ - it->second < kComplaintInterval) return;
  if (complaints_.size() >= kMaxComplaints) complaints_.clear();
  complaints_[topic] = now_;
  NoteLine(Note::Level::kWarning, std::move(text));
}

void Core::Impl::CompareClocks(Peer& peer, WallMicros theirs, Duration before) {
  if (theirs == 0) return;
  const Duration ahead = std::chrono::microseconds(theirs - wall_);
  const Duration apart = std::max(ahead, -ahead);
  const bool was_off = peer.clock_ahead != Duration{0};
  peer.clock_ahead = apart > kClockTolerance + before ? ahead : Duration{0};
  if (was_off || peer.clock_ahead == Duration{0}) return;
  Complain("clock of " + peer.coordinator.ip, "the clock of " + peer.coordinator.ip + " is " +
                                                  std::to_string(ToMillis(apart) / 1000) + " s " +
                                                  (ahead > Duration{0} ? "ahead of" : "behind") +
                                                  " this member's: keys expire by the clock of whoever leads");
}

Header Core::Impl::MakeHeader() const {
  return {config_.hive, config_.self, config_.coordinator, highest_term_, config_.version};
}

Standing Core::Impl::OwnStanding() const {
  Standing standing = redis_.standing(lineage_);
  if (replicaof_refused_ && now_ - *replicaof_refused_ < kRefusalPatience) standing.available = false;
  return standing;
}

Dataset Core::Impl::CurrentDataset() const {
  Dataset dataset = dataset_;
  if (leading_) dataset.age += now_ - dataset_as_of_;
  return dataset;
}

MemberReport Core::Impl::MakeReport() const {
  MemberReport report;
  report.role = role_;
  report.will = OwnWill();
  report.standing = OwnStanding();
  report.dataset = CurrentDataset();
  if (leading_) {
    report.leader = leading_->claim;
    report.key = MakeKey();
  } else if (winning_) {
    report.leader = winning_->claim;
  } else if (following_) {
    report.leader = following_->claim;
    report.leader_heard_ago = now_ - following_->heard;
  }
  report.lineage = lineage_;
  return report;
}

CallId Core::Impl::NewCall(CallKind kind, const Endpoint& to) {
  const CallId id = ++last_call_;
  calls_.emplace(id,
                 Call{.kind = kind, .to = to, .sent = now_, .epoch = epoch_, .key = {}, .asked_by = {}, .command = {}});
  return id;
}

void Core::Impl::Ask(CallKind kind, const Endpoint& to, Request request, Duration timeout) {
  const CallId id = NewCall(kind, to);
  out_.push_back(SendRequest{id, to, std::move(request), timeout});
}

void Core::Impl::Respond(RequestId id, Reply reply) { out_.push_back(SendReply{id, std::move(reply)}); }

CallId Core::Impl::Command(CallKind kind, RedisCommand command) {
  const CallId id = NewCall(kind, {});
  calls_.at(id).command = FirstWord(replication::ToString(command));
  calls_.at(id).fences = command.kind == RedisCommand::Kind::kFence;
  out_.push_back(CommandRedis{id, std::move(command), redis_.status().run_id});
  return id;
}

// What redis itself refuses is told by the command's name until it obeys: a renamed command, an ACL, an old version.
// Without REPLICAOF it can neither lead nor follow, and without ROLE not lead: a promotion asks for it, too. Else what
// it holds is uncertain until the next reading, except after a command that changes none of it.
void Core::Impl::NoteOutcome(const Call& call, const RedisDone& event) {
  const bool promotes = call.kind == CallKind::kPromote || call.kind == CallKind::kTakeBack;
  if (event.ok) {
    refused_commands_.erase(call.command);
    if (promotes) refused_commands_.erase("ROLE");
    if (call.command == "REPLICAOF" && !refused_commands_.contains("ROLE")) replicaof_refused_.reset();
    if (call.fences && !event.status.fenced) {
      refused_commands_[call.command] = "min-replicas-to-write has no effect (is min-replicas-max-lag 0?)";
      Complain("no fence", "the local redis cannot be fenced: " + refused_commands_[call.command]);
    }
    return On(RedisReported{event.status});
  }
  if (RedisSaidNo(event)) {
    const std::string command = promotes && event.error.starts_with("ROLE") ? "ROLE" : call.command;
    refused_commands_[command] = event.error;
    Complain("refused " + command, "the local redis refuses " + command + ": " + event.error);
    if (call.command != "REPLICAOF") return;
    replicaof_refused_ = now_;
  }
  if (call.kind == CallKind::kReconcile) next_reconcile_ = now_ + kRetryInterval;
  if (call.command != "CONFIG" && call.command != "CLIENT") redis_.OnRefusal();
}

bool Core::Impl::Outstanding(CallKind kind) const {
  return std::any_of(calls_.begin(), calls_.end(), [kind](const auto& entry) { return entry.second.kind == kind; });
}

// ---------------------------------------------------------------------------------------------- the local redis

replication::Goal Core::Impl::RedisGoal() const {
  using Kind = replication::Goal::Kind;
  const bool may_fence = !refused_commands_.contains("CONFIG");
  if (role_ == Role::kLeading) return {Kind::kMaster, {}, leading_->fence && may_fence};
  if (role_ == Role::kFollowing && following_->confirmed) return {Kind::kReplica, following_->claim.redis, may_fence};
  if (role_ == Role::kFollowing) return {Kind::kUndecided, {}, may_fence};  // it led, and has given way
  if (Promised()) return {Kind::kParked, {}};
  // Left alone, it would go on dialling the lost leader's address, and take whatever answers there one day: that redis
  // restarted empty and promoted, or another hive's pod that was given the address. What was read before the leader was
  // lost does not say so: a first sync may have ended since, over a link that lives on, and still brings what was
  // acknowledged.
  const RedisStatus& status = redis_.status();
  std::optional<Instant> alone_since = left_alone_at_;
  if (!alone_since && config_.memory && config_.memory->run_id == status.run_id) alone_since = started_at_;
  const bool read_since = !alone_since || redis_read_at_ > *alone_since;
  const bool long_alone = alone_since && now_ - *alone_since > config_.leader_timeout;  // its link is dead, too
  const bool fed = status.sync_in_progress || (status.link_up && !long_alone);
  if (!status.is_master && read_since && !fed) return {Kind::kParked, {}};
  return {Kind::kUndecided, {}};
}

void Core::Impl::ReconcileRedis() {
  if (!redis_.up() || role_ == Role::kPromoting || now_ < next_reconcile_) return;
  if (handover_ && handover_->change && (handover_->change->parked() || handover_->taking_back)) return;
  if (Outstanding(CallKind::kReconcile) || Outstanding(CallKind::kPark) || Outstanding(CallKind::kPromote)) return;
  const RedisStatus& status = redis_.status();
  if (const auto command = replication::Reconcile(RedisGoal(), status, redis_.holds_data())) {
    if (command->kind == RedisCommand::Kind::kReplicate) {
      // What is dropped is measured on what it holds now: it may have gone on since it was read last, or have taken all
      // that another leader had.
      if (!status.parked() && redis_read_at_ < following_->confirmed_at) {
        Command(CallKind::kReconcile, {RedisCommand::Kind::kRead, {}});
        return;
      }
      MeasureDiscard(following_->claim);
      pointed_at_ = following_->claim.redis;
    }
    Command(CallKind::kReconcile, *command);
    return;
  }
  // Until its first sync or promotion a redis must not answer reads with nil; from then on stale beats none.
  const bool worth_reading = role_ == Role::kLeading ||
                             (role_ == Role::kFollowing && replication::InSyncWith(status, following_->claim.redis));
  if (worth_reading && stale_reads_on_ != status.run_id) {
    stale_reads_on_ = status.run_id;
    Command(CallKind::kServeStale, {RedisCommand::Kind::kServeStale, {}});
  }
}

}  // namespace hive::election
