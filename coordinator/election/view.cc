// What others see of this member: proxies and probes (the published view), a restart of its own (memory), people
// (state).
#include <utility>

#include "coordinator/election/core_impl.h"

namespace hive::election {

LeaderView Core::Impl::MakeView() const {
  LeaderView view;
  if (leading_) {
    view.claim = leading_->claim;
    view.write_state = leading_->writes.state;
    view.heard = now_;
    view.in_sync = redis_.up();
  } else if (following_ && following_->confirmed) {
    view.claim = following_->claim;
    view.write_state = following_->write_state;
    view.heard = following_->heard;
    view.in_sync = redis_.up() && replication::InSyncWith(redis_.status(), following_->claim.redis);
  }
  if (!view.claim.empty() && !lineage_.empty()) view.handed_over_by = lineage_.back().handed_over_by;
  view.has_joined = has_joined_ || view.in_sync;
  view.coordinators.push_back(config_.coordinator);
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (!peer.gone && !peer.stranger()) view.coordinators.push_back(endpoint);
  }
  return view;
}

void Core::Impl::Publish(bool even_if_same) {
  LeaderView view = MakeView();
  has_joined_ = view.has_joined;
  const Instant heard = std::exchange(published_.heard, view.heard);
  const bool same = view == published_;
  if (same && !even_if_same) {
    published_.heard = heard;
    return;
  }
  published_ = view;
  out_.push_back(PublishLeader{std::move(view)});
}

void Core::Impl::RememberIfChanged() {
  if (!redis_.known()) return;
  constexpr Duration kAgePrecision = Seconds(1);
  Memory memory{redis_.status().run_id, redis_.holds_data(), highest_term_, CurrentDataset(), lineage_};
  if (remembered_) {
    Memory but_for_age = memory;
    but_for_age.dataset.age = remembered_->dataset.age;
    if (but_for_age == *remembered_ && memory.dataset.age - remembered_->dataset.age < kAgePrecision) return;
  }
  remembered_ = memory;
  out_.push_back(Remember{std::move(memory)});
}

std::string Core::Impl::WaitingFor() const {
  if (leading_ || (following_ && following_->confirmed)) return "";
  if (!redis_.up()) return "the local redis: " + redis_trouble_;
  if (redis_.status().loading) return "the local redis is loading";
  if (role_ == Role::kFollowing) return "the first beat of " + ToString(following_->claim);
  if (Promised()) return ToString(promise_->claim.leader) + " to open: it has won the election";
  if (replicaof_refused_ && refused_commands_.contains("ROLE"))
    return "the local redis to answer ROLE, which it refuses";
  if (replicaof_refused_) return "the local redis to obey REPLICAOF, which it refuses";
  if (doubts_) return "enough of the other members to be heard: this one may be cut off";
  if (role_ != Role::kJoining) return "the election to end";
  if (!peers_.answered()) return "DNS to answer";
  if (const std::string agreement = Outcasting(); !agreement.empty() && (IsOutcast() || !redis_.holds_data()))
    return agreement;
  if (redis_.holds_data()) return "the other members to say whether they know a leader";
  if (!peers_.self_listed()) return "DNS to list this member: it lists others only";
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (peer.probed == ProbedRedis::kHasData) return "the coordinator of " + endpoint.ip + ", whose redis has data";
    if (!peer.gone && (!peer.heard || now_ - *peer.heard > config_.leader_timeout)) {
      return hive::ToString(endpoint) + ", which DNS lists and which is silent: it may have the data";
    }
    if (!peer.gone && !peer.report.standing.empty) return endpoint.ip + ", which has data, to lead";
  }
  return "DNS to list the same members for a while";
}

State Core::Impl::GetState(Instant now) const {
  State state;
  state.self = config_.self;
  state.role = role_;
  state.term = highest_term_;
  state.view = published_;
  if (leading_) state.view.heard = now;
  state.dataset = CurrentDataset();
  state.lineage = lineage_;
  state.standing = OwnStanding();
  state.redis = redis_.status();
  state.redis_up = redis_.up();
  if (!redis_.up()) state.redis_trouble = redis_trouble_;
  if (redis_.up() && unlinked_ >= kLinkPatience) state.redis_unlinked = unlinked_;
  state.last_election = last_election_;
  state.in_doubt = doubts_;
  if (leading_) state.write_reason = leading_->writes.reason;
  state.discarded = discarded_;
  state.tally = tally_;
  state.refused_commands = refused_commands_;
  for (size_t i = 0; i < kReasonsToRefuse; ++i) {
    state.refused_messages[Name(static_cast<RefusedFor>(i))] = refused_messages_[i];
  }
  state.waiting_for = WaitingFor();
  state.members.push_back({config_.coordinator, config_.self, role_, state.standing, OwnWill(), state.view.in_sync,
                           peers_.self_listed(), false, false, Duration{0}});
  state.members.back().version = config_.version;
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (peer.stranger()) continue;
    MemberState member{endpoint,         peer.identity,
                       peer.report.role, peer.report.standing,
                       peer.report.will, peer.link_up,
                       peer.listed,      peer.gone,
                       Rejects(peer),    peer.heard ? now - *peer.heard : Duration{-1}};
    const Claim& leader = state.view.claim;
    if (!leader.empty() && peer.identity == leader.leader) member.role = Role::kLeading;
    member.clock_ahead = peer.clock_ahead;
    member.version = peer.version;
    state.members.push_back(std::move(member));
  }
  if (!leading_) return state;
  for (MemberState& member : state.members) {
    for (const auto& [id, follower] : leading_->followers) {
      if (!follower.identity.empty() && follower.identity == member.identity) member.round_trip = follower.round_trip;
    }
  }
  return state;
}

}  // namespace hive::election
