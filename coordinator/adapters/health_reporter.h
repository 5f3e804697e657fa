// Tells grpc.health.v1 what the core publishes: readiness = the local redis leads or is in sync, startup = has been in
// sync once. Liveness is the watchdog's (main.cc).
//
// Thread rule: Publish from the runtime's thread.
// Lifetime: the health service outlives it.
#pragma once

#include "common/app/health.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/ports.h"

namespace hive::coordinator {

class HealthReporter final : public WatchSink {
 public:
  explicit HealthReporter(HealthService& health) : health_(health) {
    health_.SetServing(kHealthReadiness, false);
    health_.SetServing(kHealthStartup, false);
  }

  void Publish(const election::LeaderView& view) override {
    health_.SetServing(kHealthReadiness, view.in_sync);
    health_.SetServing(kHealthStartup, view.has_joined);
  }

 private:
  HealthService& health_;
};

}  // namespace hive::coordinator
