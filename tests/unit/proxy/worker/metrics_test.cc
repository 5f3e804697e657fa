// Goal: a scrape tells of all event loops, and of one that is stuck nothing; it does not make it worse either. Method:
// pages of made-up reports, and event loops of which the test turns some, and leaves the others standing.
#include "proxy/worker/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hive::proxy {
namespace {

using testing::HasSubstr;

TEST(CommandDurations, AreCountedEachWhetherTheyTookEquallyLongOrNot) {
  CommandDurations durations;
  durations.Note(Millis(2), 3);
  durations.Note(Millis(2), 4);
  durations.Note(Millis(1), 1);
  durations.Note(Millis(2), 1);
  DurationHistogram expected;
  expected.Observe(Millis(2), 8);
  expected.Observe(Millis(1));
  EXPECT_EQ(durations.histogram().counts, expected.counts);
  EXPECT_DOUBLE_EQ(durations.histogram().sum, 0.017);
  EXPECT_EQ(durations.histogram().counts, expected.counts) << "asking changes nothing";
}

TEST(MetricsPageOfTheProxy, AddsUpLoopsAndCountsALeaderSwitchOnce) {
  LoopReport report;
  report.tally.commands = {10, 20, 30};
  report.tally.durations.Note(Millis(2), 7);
  report.tally.sent_again = 1;
  report.tally.closed_unknown_outcome = 2;
  report.tally.leader_switches.Observe(Millis(40));
  report.ack_rounds.Observe(Millis(3));
  report.held_commands = 5;
  report.lanes = 1;
  report.own_links = 4;
  const std::string page = MetricsOf({report, report}, 9, true);
  for (const char* line :
       {"hive_proxy_watch_connected 1\n", "hive_proxy_clients 9\n", "hive_proxy_commands_total{effect=\"read\"} 20\n",
        "hive_proxy_commands_total{effect=\"write\"} 40\n", "hive_proxy_commands_total{effect=\"connection\"} 60\n",
        "hive_proxy_command_duration_seconds_count 14\n", "hive_proxy_upstream_connections{kind=\"shared\"} 2\n",
        "hive_proxy_upstream_connections{kind=\"own\"} 8\n", "hive_proxy_held_commands 10\n",
        "hive_proxy_retried_total 2\n", "hive_proxy_closed_unknown_outcome_total 4\n",
        "hive_proxy_leader_switch_seconds_count 1\n", "hive_proxy_write_ack_duration_seconds_count 2\n"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

class MetricsTest : public testing::Test {
 protected:
  void MakeLoops(int count) {
    for (int i = 0; i < count; ++i)
      loops_.push_back(std::make_unique<EventLoop>(WorkerOptions{}, std::vector<Fd>{}, counters_));
  }

  SharedCounters counters_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
};

TEST_F(MetricsTest, OfALoopThatIsStuckNothingIsSaidUntilItGoesOn) {
  MakeLoops(2);
  std::thread turning([this] { loops_[0]->Run(); });
  Metrics metrics(loops_, counters_);
  EXPECT_EQ(metrics.Gather(), std::nullopt);
  EXPECT_EQ(metrics.Gather(), std::nullopt);
  std::thread stuck([this] { loops_[1]->Run(); });
  EXPECT_NE(metrics.Gather(), std::nullopt);
  for (const std::unique_ptr<EventLoop>& loop : loops_) loop->Stop();
  turning.join();
  stuck.join();
}

TEST_F(MetricsTest, ALoopMayAnswerWhenNobodyAsksAnyMore) {
  MakeLoops(1);
  {
    Metrics metrics(loops_, counters_);
    EXPECT_EQ(metrics.Gather(), std::nullopt);
  }
  std::thread turning([this] { loops_[0]->Run(); });
  Metrics later(loops_, counters_);
  EXPECT_NE(later.Gather(), std::nullopt);
  loops_[0]->Stop();
  turning.join();
}

}  // namespace
}  // namespace hive::proxy
