// One proxy a pod: what it believes of the leader. That is what the real one believes (proxy/leader): it watches its
// own pod's coordinator, or another member's when that one is gone or mute, and may write only while its lease runs.
// What its client does with that: clients.h.
//
// Thread rule: one thread.
#pragma once

#include <functional>
#include <vector>

#include "common/base/random.h"
#include "proxy/leader/leader_view.h"
#include "proxy/leader/lease.h"
#include "tests/sim/coordinators.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/planted.h"
#include "tests/sim/pods.h"

namespace hive::sim {

class Proxies {
 public:
  Proxies(const Options& options, const Pods& pods, Coordinators& coordinators, Network& network, EventQueue& queue,
          Random& random, PlantedBug bug);

  void Start(PodId pod);
  void Freeze(PodId pod) { rows_[pod].frozen = true; }
  void Thaw(PodId pod);

  bool frozen(PodId pod) const { return rows_[pod].frozen; }
  const proxy::LeaderSnapshot& snapshot(PodId pod) const { return rows_[pod].view.snapshot(); }

  // Called when a proxy has heard of the leader: something may have changed.
  std::function<void(PodId)> on_view;

 private:
  struct Answer {
    uint64_t watch = 0;  // which stream
    uint64_t echoed = 0;
    bool own = false;
    proxy::WatchAnswer answer;
  };
  struct Proxy {
    bool running = false;
    bool frozen = false;
    proxy::LeaderView view;
    proxy::SentTimes questions;
    uint64_t watch = 0;  // grows with every stream that it opens
    ProcessId watched = kNoId;
    uint64_t echo = 0;        // newest question that has arrived at the watched one...
    SimTime arrived{0};       // ... and when
    SimTime next_arrival{0};  // of an answer
    SimTime heard{0};
    SimTime try_own{0};  // when to look at the own coordinator again
    size_t next_fallback = 0;
    std::vector<Answer> waiting;  // while frozen
  };

  void Turn(PodId pod);
  void Ask(PodId pod);
  void Watch(PodId pod);
  void WatchNext(PodId pod);
  void Closed(const Coordinator& c);
  void Failover(PodId pod, uint64_t watch);
  void AskOrTryNext(PodId pod);
  void Published(const Coordinator& c);
  void Tell(PodId pod, const Coordinator& c);
  void Hear(PodId pod, const Answer& answer);
  // The proxies' monotonic clock is the simulation's.
  Instant Now() const { return Instant(queue_.now()); }

  const Options& options_;
  const Pods& pods_;
  Coordinators& coordinators_;
  Network& network_;
  EventQueue& queue_;
  Random& random_;
  PlantedBug bug_;
  std::vector<Proxy> rows_;  // by PodId
};

}  // namespace hive::sim
