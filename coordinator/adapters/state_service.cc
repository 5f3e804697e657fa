#include "coordinator/adapters/state_service.h"

#include <algorithm>
#include <optional>

#include "common/app/version.h"
#include "coordinator/adapters/peer_codec.h"

namespace hive::coordinator {
namespace {

uint64_t Millis64(Duration span) { return static_cast<uint64_t>(std::max<int64_t>(0, ToMillis(span))); }

v1::RedisRole RoleOf(const replication::RedisStatus& status) {
  if (status.run_id.empty()) return v1::REDIS_ROLE_UNSPECIFIED;
  if (status.is_master) return v1::REDIS_ROLE_MASTER;
  return status.parked() ? v1::REDIS_ROLE_PARKED : v1::REDIS_ROLE_REPLICA;
}

void DescribeRedis(const election::State& state, v1::RedisState* to) {
  const replication::RedisStatus& status = state.redis;
  to->set_up(state.redis_up);
  to->set_trouble(state.redis_trouble);
  to->set_run_id(status.run_id);
  to->set_version(status.version);
  to->set_loading(status.loading);
  to->set_busy(status.busy);
  to->set_role(RoleOf(status));
  if (to->role() == v1::REDIS_ROLE_REPLICA) Encode(status.master, to->mutable_master());
  to->set_link_up(status.link_up);
  to->set_sync_in_progress(status.sync_in_progress);
  to->set_replication_id(status.replication_id);
  to->set_second_replication_id(status.second_replication_id);
  to->set_offset(status.offset);
  to->set_keys(status.keys);
  to->set_uptime_ms(Millis64(status.uptime));
  to->set_fenced(status.fenced);
  to->set_unlinked_ms(Millis64(state.redis_unlinked));
  for (const auto& [command, error] : state.refused_commands) {
    v1::RefusedCommand* refused = to->add_refused_commands();
    refused->set_command(command);
    refused->set_error(error);
  }
}

void DescribeDiscarded(const election::Discarded& discarded, v1::Discarded* to) {
  to->set_times(discarded.times);
  to->set_bytes(discarded.bytes);
  to->set_span_ms(Millis64(discarded.span));
  to->set_foreign_datasets(discarded.foreign);
  to->set_foreign_keys(discarded.foreign_keys);
  to->set_last(discarded.last);
}

// The leader's offset; nothing where it is not known.
std::optional<int64_t> LeaderOffset(const election::State& state) {
  for (const election::MemberState& member : state.members) {
    if (member.identity == state.view.claim.leader && member.standing.offset > 0) return member.standing.offset;
  }
  return std::nullopt;
}

void DescribeMember(const election::State& state, const election::MemberState& member, v1::MemberState* to) {
  const bool leads = !state.view.claim.empty() && member.identity == state.view.claim.leader;
  Encode(member.identity, to->mutable_identity());
  Encode(member.coordinator, to->mutable_coordinator());
  if (member.identity.incarnation != 0) to->set_role(Encode(member.role));
  Encode(member.standing, to->mutable_standing());
  to->set_link_up(member.link_up);
  to->set_listed(member.listed);
  to->set_gone(member.gone);
  to->set_rejects(member.rejects);
  to->set_leads(leads);
  to->set_clock_ahead_ms(ToMillis(member.clock_ahead));
  to->set_version(member.version);
  if (member.will != election::Will{}) Encode(member.will, to->mutable_will());
  if (member.heard_ago >= Duration(0) && member.identity != state.self) {
    to->set_heard_ago_ms(Millis64(member.heard_ago));
  }
  const std::optional<int64_t> newest = LeaderOffset(state);
  if (newest && !state.view.claim.empty() && member.standing.offset > 0) {
    to->set_lag_bytes(static_cast<uint64_t>(std::max<int64_t>(0, *newest - member.standing.offset)));
  }
}

}  // namespace

v1::GetStateResponse Describe(const std::string& hive, const Snapshot& snapshot) {
  const election::State& state = snapshot.state;
  const election::LeaderView& view = state.view;
  v1::GetStateResponse to;
  to.set_hive(hive);
  Encode(state.self, to.mutable_self());
  to.set_role(Encode(state.role));
  to.set_term(state.term);
  if (!view.claim.empty()) {
    Encode(view.claim, to.mutable_leader());
    to.set_leader_heard_ago_ms(view.claim.leader == state.self ? 0 : Millis64(snapshot.now - view.heard));
  }
  to.set_write_state(Encode(view.write_state));
  to.set_waiting_for(state.waiting_for);
  to.set_in_doubt(state.in_doubt);
  to.set_write_reason(state.write_reason);
  if (state.discarded.times > 0) DescribeDiscarded(state.discarded, to.mutable_discarded());
  for (const auto& [reason, count] : state.refused_messages) {
    if (count > 0) AddRefused(reason, count, &to);
  }
  Encode(state.dataset, to.mutable_dataset());
  for (const election::Promotion& promotion : state.lineage) Encode(promotion, to.add_lineage());
  DescribeRedis(state, to.mutable_redis());
  for (const election::MemberState& member : state.members) DescribeMember(state, member, to.add_members());
  if (state.last_election) {
    v1::LastElection* last = to.mutable_last_election();
    last->set_evidence(Encode(state.last_election->evidence));
    last->set_took_ms(Millis64(state.last_election->took));
    for (const election::Identity& candidate : state.last_election->stood) Encode(candidate, last->add_stood());
    Encode(state.last_election->winner, last->mutable_winner());
    last->set_term(state.last_election->term);
  }
  for (size_t i = 0; i < kMessageKinds; ++i) {
    const auto kind = static_cast<MessageKind>(i);
    v1::MessageCount* count = to.add_messages();
    count->set_kind(Name(kind));
    count->set_sent(snapshot.traffic[kind].sent);
    count->set_received(snapshot.traffic[kind].received);
  }
  to.set_uptime_ms(Millis64(snapshot.uptime));
  to.set_in_sync(view.in_sync);
  to.set_has_joined(view.has_joined);
  to.set_version(std::string(Version()));
  return to;
}

grpc::ServerUnaryReactor* StateService::GetState(grpc::CallbackServerContext* context, const v1::GetStateRequest*,
                                                 v1::GetStateResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const bool asked = inbox_.Ask([this, reactor, response](const Snapshot* snapshot) {
    if (snapshot == nullptr) {
      reactor->Finish({grpc::StatusCode::UNAVAILABLE, "this coordinator is stopping"});
      return;
    }
    *response = Describe(hive_, *snapshot);
    refusals_.AddTo(response);
    reactor->Finish(grpc::Status::OK);
  });
  if (!asked) reactor->Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many ask at once, or it is stopping"});
  return reactor;
}

grpc::ServerUnaryReactor* StateService::Handover(grpc::CallbackServerContext* context,
                                                 const v1::HandoverRequest* request, v1::HandoverResponse* response) {
  return handovers_.Begin(context, *request, response);
}

grpc::ServerUnaryReactor* StateService::LeadNow(grpc::CallbackServerContext* context, const v1::LeadNowRequest* request,
                                                v1::LeadNowResponse* response) {
  return handovers_.Begin(context, *request, response);
}

}  // namespace hive::coordinator
