// Goal: metrics say what GetState says, and a runtime that does not answer is not waited for.
// Method: a snapshot made by hand; an inbox that nobody empties.
#include "coordinator/adapters/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hive::coordinator {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(CoordinatorMetrics, SayWhatTheSnapshotSays) {
  Snapshot snapshot;
  snapshot.now = Instant(Seconds(100));
  election::State& state = snapshot.state;
  state.self = {"10.0.0.2", 2};
  state.term = 7;
  state.view.claim.term = 7;
  state.view.claim.leader = state.self;
  state.view.write_state = election::WriteState::kHold;
  state.view.in_sync = true;
  state.members.resize(3);
  state.members[0].identity = state.self;
  state.members[1].coordinator = {"10.0.0.1", 7400};
  state.members[1].round_trip = Millis(2);
  state.members[2].gone = true;
  state.discarded.bytes = 4096;
  state.refused_messages = {{"another hive", 5}};
  state.tally.elections_won[static_cast<size_t>(election::Evidence::kSilence)] = 3;
  state.tally.handed_over = 2;
  state.tally.redis_came_empty = 1;
  snapshot.observations.Heard(election::PeersUnlisted{});
  snapshot.observations.Published(state.view, Instant(Seconds(4)));
  snapshot.observations.Published({}, Instant(Seconds(98)));
  Refusals refused;
  refused.Note(Refusals::Reason::kWrongProof, "10.9.9.9", "");

  const std::string text = MetricsOf(snapshot, refused);
  for (const char* line :
       {"hive_is_leader 1", "hive_term 7", "hive_members 2", "hive_write_state{state=\"hold\"} 1",
        "hive_write_state{state=\"open\"} 0", "hive_in_doubt 0", "hive_elections_total{reason=\"silence\"} 3",
        "hive_elections_total{reason=\"bootstrap\"} 0", "hive_leader_unavailable_seconds_total 6",
        "hive_handovers_total{result=\"done\"} 2", "hive_handovers_total{result=\"failed\"} 0", "hive_redis_in_sync 1",
        "hive_discarded_bytes_total 4096", "hive_empty_redis_deferred_total 1", "hive_dns_failures_total 1",
        "hive_peer_rtt_seconds{peer=\"10.0.0.1\"} 0.002", "hive_refused_messages_total{reason=\"another hive\"} 5",
        "hive_refused_messages_total{reason=\"wrong_proof\"} 1",
        "hive_refused_messages_total{reason=\"overload\"} 0"}) {
    EXPECT_THAT(text, HasSubstr("\n" + std::string(line) + "\n"));
  }
  EXPECT_THAT(text, Not(HasSubstr("peer=\"\"")));
}

TEST(CoordinatorMetrics, ARuntimeThatDoesNotAnswerIsGivenUp) {
  EventInbox inbox;
  Refusals refused;
  Metrics metrics(inbox, refused);
  EXPECT_FALSE(metrics.Gather());
  inbox.Close();
  EXPECT_FALSE(metrics.Gather());
}

}  // namespace
}  // namespace hive::coordinator
