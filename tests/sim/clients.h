// One client a pod, which writes through the pod's proxy, one write at a time. What the proxy does for it is what
// docs/proxy.md says of the real one: it holds a write until it may be sent, sends it once, sends it again only if
// redis says that it was not executed, passes the reply on only under a lease, and, with write acknowledgement, only
// when so many replicas have the write.
//
// Thread rule: one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/planted.h"
#include "tests/sim/pods.h"
#include "tests/sim/proxies.h"
#include "tests/sim/redis_model.h"
#include "tests/sim/transcript.h"

namespace hive::sim {

class Judge;

class Clients {
 public:
  struct Counts {
    uint64_t sent = 0;
    uint64_t acknowledged = 0;
    uint64_t unconfirmed = 0;  // executed, but too few replicas had it in time: the client is told so
    uint64_t refused = 0;      // told that it was not executed
    uint64_t closed = 0;       // the connection was closed with a write in flight
    uint64_t held_too_long = 0;

    void operator+=(const Counts& other) {
      sent += other.sent;
      acknowledged += other.acknowledged;
      unconfirmed += other.unconfirmed;
      refused += other.refused;
      closed += other.closed;
      held_too_long += other.held_too_long;
    }
  };

  Clients(const Options& options, const Pods& pods, Redises& redises, Proxies& proxies, Network& network,
          EventQueue& queue, Random& random, Transcript& transcript, Judge& judge, PlantedBug bug);

  void Start(PodId pod);
  // The proxy drains: no new writes; what is under way is finished.
  void Drain(PodId pod);
  // A frozen proxy goes on.
  void Thaw(PodId pod) { ViewChanged(pod); }
  // Nothing is under way at this pod.
  bool Idle(PodId pod) const { return rows_.size() <= pod || rows_[pod].phase == Phase::kIdle; }

  const Counts& counts() const { return counts_; }

 private:
  enum class Phase : uint8_t {
    kIdle,
    kHeld,        // at the proxy
    kSent,        // to redis
    kConfirming,  // executed; replicas are to confirm
    kWithheld,    // done; no lease
  };
  struct Client {
    bool running = false;
    bool draining = false;
    Phase phase = Phase::kIdle;
    uint64_t attempt = 0;  // grows with every sending: what belongs to an older one is void
    WriteId write = 0;
    SimTime since{0};    // held, or confirming
    SimTime sent_at{0};  // kSent
    RedisId run = kNoId;
    proxy::Leadership leader;  // whom it was sent to
    bool former = false;       // that one has handed over since, and still owes the answer
    SimTime former_until{0};   // ... for so long
  };

  void Turn(PodId pod);
  void Look(PodId pod);
  void ViewChanged(PodId pod);
  void Try(PodId pod);
  void Send(PodId pod, const proxy::Leadership& leader);
  void Answered(PodId pod, uint64_t attempt, Written result, Duration back);
  void Confirm(PodId pod, uint64_t attempt);
  void Release(PodId pod);
  bool MayConfirm(PodId pod) const;
  void Cut(PodId pod, const char* why);
  void End(PodId pod, uint64_t& counter, const char* what);
  Instant Now() const { return Instant(queue_.now()); }

  const Options& options_;
  const Pods& pods_;
  Redises& redises_;
  Proxies& proxies_;
  Network& network_;
  EventQueue& queue_;
  Random& random_;
  Transcript& transcript_;
  Judge& judge_;
  PlantedBug bug_;
  std::vector<Client> rows_;  // by PodId
  Counts counts_;
};

}  // namespace hive::sim
