// The coordinator's /metrics: docs/metrics.md explains each. Written from the snapshot that GetState answers from, so
// that the two never contradict one another.
//
// Thread rule: Gather on the metrics server's thread; it waits for the runtime's.
// Lifetime: outlived by the inbox.
#pragma once

#include <optional>
#include <string>

#include "common/base/time.h"
#include "coordinator/adapters/refusals.h"
#include "coordinator/runtime/event_inbox.h"

namespace hive::coordinator {

// The page. `refused`: what was refused at the edge; the core's own refusals are in the snapshot.
std::string MetricsOf(const Snapshot& snapshot, const Refusals& refused);

class Metrics {
 public:
  // A healthy runtime answers within a millisecond.
  static constexpr Duration kPatience = Seconds(1);

  Metrics(EventInbox& inbox, const Refusals& refused) : inbox_(inbox), refused_(refused) {}

  // Nothing when the runtime does not answer within kPatience.
  std::optional<std::string> Gather();

 private:
  EventInbox& inbox_;
  const Refusals& refused_;
};

}  // namespace hive::coordinator
