#include "proxy/worker/metrics.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "common/app/metrics_page.h"
#include "common/net/clock.h"
#include "proxy/resp/command_facts.h"

namespace hive::proxy {
namespace {

// All loops as one.
LoopReport SumOf(const std::vector<LoopReport>& reports) {
  LoopReport sum;
  for (const LoopReport& report : reports) {
    for (size_t i = 0; i < sum.tally.commands.size(); ++i) sum.tally.commands[i] += report.tally.commands[i];
    sum.tally.sent_again += report.tally.sent_again;
    sum.tally.closed_unknown_outcome += report.tally.closed_unknown_outcome;
    sum.ack_rounds.Add(report.ack_rounds);
    sum.held_commands += report.held_commands;
    sum.lanes += report.lanes;
    sum.own_links += report.own_links;
  }
  return sum;
}

DurationHistogram CommandDurationsOf(const std::vector<LoopReport>& reports) {
  DurationHistogram sum;
  for (const LoopReport& report : reports) sum.Add(report.tally.durations.histogram());
  return sum;
}

void AddCommands(const std::vector<LoopReport>& reports, const LoopReport& sum, MetricsPage& page) {
  page.Begin("hive_proxy_commands_total", MetricType::kCounter,
             "Commands that clients have sent, by what they do: read, write (or may write), connection (its settings)");
  const auto add = [&](const char* effect, resp::Effect index) {
    page.Add("effect", effect, static_cast<double>(sum.tally.commands[static_cast<size_t>(index)]));
  };
  add("read", resp::Effect::kRead);
  add("write", resp::Effect::kWrite);
  add("connection", resp::Effect::kConnection);
  page.Histogram("hive_proxy_command_duration_seconds",
                 "How long redis and, with --write-acks, its replicas took to answer a command; those that block, and "
                 "time spent held, are not in it",
                 CommandDurationsOf(reports));
}

void AddLeaderChanges(const std::vector<LoopReport>& reports, const LoopReport& sum, MetricsPage& page) {
  page.Gauge("hive_proxy_held_commands", "Commands that wait for a leader, or for the right to write to it",
             static_cast<double>(sum.held_commands));
  page.Counter("hive_proxy_retried_total",
               "Commands that were sent again since their connection to redis had ended: those that only read, or were "
               "certainly not executed",
               static_cast<double>(sum.tally.sent_again));
  page.Counter("hive_proxy_closed_unknown_outcome_total",
               "Clients that were closed since a write of theirs was in flight, and nobody knows what became of it",
               static_cast<double>(sum.tally.closed_unknown_outcome));
  // Every loop hears of a leader by itself, at the same time: one stands for all.
  page.Histogram("hive_proxy_leader_switch_seconds",
                 "How long writes had to wait when another redis came to lead: from the end of the right to write to "
                 "the one to that to the other",
                 reports.front().tally.leader_switches);
  page.Histogram("hive_proxy_write_ack_duration_seconds",
                 "With --write-acks, how long replicas took to confirm writes, or failed to: one for all writes that "
                 "are asked about together",
                 sum.ack_rounds);
}

}  // namespace

std::string MetricsOf(const std::vector<LoopReport>& reports, int clients, bool watch_connected) {
  const LoopReport sum = SumOf(reports);
  MetricsPage page;
  page.BuildInfo();
  page.Gauge("hive_proxy_watch_connected", "1 while a coordinator, of this pod or another one, tells who leads",
             watch_connected);
  page.Gauge("hive_proxy_clients", "Clients that are connected, TLS handshakes under way among them", clients);
  page.Begin("hive_proxy_upstream_connections", MetricType::kGauge,
             "Connections to redis for clients' commands: shared (by many clients), own (one client's)");
  page.Add("kind", "shared", static_cast<double>(sum.lanes));
  page.Add("kind", "own", static_cast<double>(sum.own_links));
  AddCommands(reports, sum, page);
  AddLeaderChanges(reports, sum, page);
  return page.text();
}

std::optional<std::string> Metrics::Gather() {
  for (size_t i = 0; i < loops_.size(); ++i) {
    // An answer that came when nobody waited for it any more is old.
    if (answers_[i].valid() && answers_[i].wait_for(Duration(0)) == std::future_status::ready) (void)answers_[i].get();
    if (answers_[i].valid()) continue;
    // Shared with a loop that may answer when this object is gone.
    const auto answer = std::make_shared<std::promise<LoopReport>>();
    answers_[i] = answer->get_future();
    loops_[i]->Tell([answer](const LoopReport& report) { answer->set_value(report); });
  }
  const Instant deadline = ReadMonotonicClock() + kPatience;
  std::vector<LoopReport> reports;
  for (std::future<LoopReport>& answer : answers_) {
    const Duration left = std::max<Duration>(deadline - ReadMonotonicClock(), Duration(0));
    if (answer.wait_for(left) != std::future_status::ready) return std::nullopt;
    reports.push_back(answer.get());
  }
  return MetricsOf(reports, counters_.clients.load(std::memory_order_relaxed),
                   watch_connected_.load(std::memory_order_relaxed));
}

}  // namespace hive::proxy
