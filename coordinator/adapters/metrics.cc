#include "coordinator/adapters/metrics.h"

#include <algorithm>
#include <future>
#include <memory>

#include "common/app/metrics_page.h"
#include "coordinator/adapters/state_service.h"

namespace hive::coordinator {
namespace {

using election::Evidence;
using election::MemberState;
using election::WriteState;

double SecondsOf(Duration span) { return std::chrono::duration<double>(span).count(); }

void AddLeadership(const election::State& state, MetricsPage& page) {
  page.Gauge("hive_is_leader", "1 on the member that leads",
             !state.view.claim.empty() && state.view.claim.leader == state.self);
  page.Gauge("hive_term", "Highest term that this member has seen; it grows with every change of leader",
             static_cast<double>(state.term));
  page.Gauge("hive_members", "Members that this one knows and that are not proved gone, itself included",
             static_cast<double>(std::ranges::count_if(state.members, [](const MemberState& m) { return !m.gone; })));
  page.Begin("hive_write_state", MetricType::kGauge,
             "1 for what this member knows of the right to write: open, hold (leadership moves), fenced, no_leader");
  for (const auto write : {WriteState::kOpen, WriteState::kHold, WriteState::kFenced, WriteState::kNoLeader}) {
    page.Add("state", Name(write), state.view.write_state == write);
  }
  page.Gauge("hive_in_doubt", "1 while this member hears so few of the others that it may be the one that is cut off",
             state.in_doubt);
}

void AddElections(const Snapshot& snapshot, MetricsPage& page) {
  const election::Tally& tally = snapshot.state.tally;
  page.Begin("hive_elections_total", MetricType::kCounter,
             "Elections that this member has won, by why they were held: proof (of the leader's end), silence (of the "
             "leader), leaderless, bootstrap (a new dataset)");
  for (const auto evidence : {Evidence::kProof, Evidence::kSilence, Evidence::kLeaderless, Evidence::kBootstrap}) {
    page.Add("reason", Name(evidence), static_cast<double>(tally.elections_won[static_cast<size_t>(evidence)]));
  }
  page.Histogram("hive_election_duration_seconds",
                 "How long the elections took that this member has won, from its candidacy to the end of the count",
                 tally.election_durations);
  page.Counter("hive_leader_unavailable_seconds_total", "How long this member has known no leader, in seconds",
               SecondsOf(snapshot.observations.Leaderless(snapshot.now)));
  page.Begin("hive_handovers_total", MetricType::kCounter,
             "Leaderships that this member was to hand over, by result: done, failed (it went on leading)");
  page.Add("result", "done", static_cast<double>(tally.handed_over));
  page.Add("result", "failed", static_cast<double>(tally.not_handed_over));
}

void AddData(const Snapshot& snapshot, MetricsPage& page) {
  const election::State& state = snapshot.state;
  page.Gauge("hive_redis_in_sync", "1 while the local redis leads, or replicates the leader with its link up",
             state.view.in_sync);
  page.Begin("hive_replication_lag_bytes", MetricType::kGauge,
             "Bytes of replication stream that the local redis is behind the leader's; absent while not known");
  if (const v1::GetStateResponse said = Describe("", snapshot);
      said.members_size() > 0 && said.members(0).has_lag_bytes())
    page.Add(static_cast<double>(said.members(0).lag_bytes()));
  page.Counter("hive_discarded_bytes_total",
               "Bytes of replication stream that the local redis held, and dropped to replicate a leader without them",
               static_cast<double>(state.discarded.bytes));
  page.Counter("hive_empty_redis_deferred_total",
               "Restarts of the local redis that left it empty, so that it deferred to members with data",
               static_cast<double>(state.tally.redis_came_empty));
}

void AddNetwork(const Snapshot& snapshot, const Refusals& refused, MetricsPage& page) {
  page.Counter("hive_dns_failures_total", "Questions to DNS that were not answered with the list of members",
               static_cast<double>(snapshot.observations.dns_failures()));
  page.Begin("hive_peer_rtt_seconds", MetricType::kGauge,
             "On the leader, for each follower's IP: from its newest beat to the report that answered it, in seconds");
  for (const MemberState& member : snapshot.state.members) {
    if (member.round_trip >= Duration(0)) page.Add("peer", member.coordinator.ip, SecondsOf(member.round_trip));
  }
  page.Begin("hive_refused_messages_total", MetricType::kCounter,
             "Messages of peers that were refused, by reason, as GetState names it");
  std::map<std::string, uint64_t> counts = refused.Counts();
  for (const auto& [reason, count] : snapshot.state.refused_messages) counts[reason] += count;
  for (const auto& [reason, count] : counts) page.Add("reason", reason, static_cast<double>(count));
}

}  // namespace

std::string MetricsOf(const Snapshot& snapshot, const Refusals& refused) {
  MetricsPage page;
  page.BuildInfo();
  AddLeadership(snapshot.state, page);
  AddElections(snapshot, page);
  AddData(snapshot, page);
  AddNetwork(snapshot, refused, page);
  return page.text();
}

std::optional<std::string> Metrics::Gather() {
  // Shared with a runtime that may answer when nobody waits any more.
  const auto answer = std::make_shared<std::promise<std::optional<Snapshot>>>();
  std::future<std::optional<Snapshot>> answered = answer->get_future();
  const bool asked = inbox_.Ask([answer](const Snapshot* snapshot) {
    answer->set_value(snapshot != nullptr ? std::optional(*snapshot) : std::nullopt);
  });
  if (!asked || answered.wait_for(kPatience) != std::future_status::ready) return std::nullopt;
  const std::optional<Snapshot> snapshot = answered.get();
  if (!snapshot) return std::nullopt;
  return MetricsOf(*snapshot, refused_);
}

}  // namespace hive::coordinator
