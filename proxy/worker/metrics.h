// The proxy's /metrics: docs/metrics.md explains each. What event loops count is theirs alone; for a scrape each is
// asked, by a message, for a copy.
//
// Thread rule: Gather on the metrics server's thread, SetWatchConnected on any.
// Lifetime: outlived by the loops and the counters, and by what the loops are told.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "proxy/worker/event_loop.h"
#include "proxy/worker/limits.h"
#include "proxy/worker/tally.h"

namespace hive::proxy {

// The page. `reports`: one of each event loop, at least one.
std::string MetricsOf(const std::vector<LoopReport>& reports, int clients, bool watch_connected);

class Metrics {
 public:
  // A turn of a loop takes milliseconds at the most.
  static constexpr Duration kPatience = Seconds(1);

  Metrics(const std::vector<std::unique_ptr<EventLoop>>& loops, const SharedCounters& counters)
      : loops_(loops), counters_(counters), answers_(loops.size()) {}

  // Whether some coordinator says who leads.
  void SetWatchConnected(bool connected) { watch_connected_.store(connected, std::memory_order_relaxed); }

  // Nothing when a loop does not answer within kPatience. Until it does it is not asked again, so that questions do not
  // pile up in one that is stuck.
  std::optional<std::string> Gather();

 private:
  const std::vector<std::unique_ptr<EventLoop>>& loops_;
  const SharedCounters& counters_;
  std::atomic<bool> watch_connected_ = false;
  std::vector<std::future<LoopReport>> answers_;  // of each loop; valid: it has been asked
};

}  // namespace hive::proxy
