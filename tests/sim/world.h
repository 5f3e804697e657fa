// A whole simulated hive: pods with redis, coordinator and proxy; network, DNS, clocks; the judge. Everything is drawn
// from the seed in Options, so one seed is one history.
//
// Tests drive it by the verbs below; simulate.h drives it by drawn faults.
//
// Thread rule: one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "tests/sim/brain.h"
#include "tests/sim/clients.h"
#include "tests/sim/coordinators.h"
#include "tests/sim/dns_model.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/judge.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/planted.h"
#include "tests/sim/pods.h"
#include "tests/sim/proxies.h"
#include "tests/sim/redis_model.h"
#include "tests/sim/transcript.h"

namespace hive::sim {

class World {
 public:
  World(const Options& options, BrainFactory factory, Transcript& transcript, PlantedBug bug = PlantedBug::kNone);

  // ---- time
  SimTime now() const { return queue_.now(); }
  // Runs until `when`, or until the judge objects: then false.
  bool RunUntil(SimTime when);
  bool RunFor(Duration span) { return RunUntil(now() + span); }
  // Runs until promise 4's state is reached; false when `within` has passed without it or the judge objects.
  bool RunUntilConverged(Duration within);

  // ---- members: slots 0 to kMemberSlots - 1
  // A pod with everything in it, listed by DNS; `with_coordinator` false: its image is still being pulled, nothing
  // listens.
  void StartPod(int slot, bool same_ip = false, bool with_coordinator = true);
  void StartMembers();  // as Options::start says
  void KillRedis(int slot, std::optional<Duration> back_after);
  void KillCoordinator(int slot, std::optional<Duration> back_after);
  void KillPod(int slot, bool closes_sockets, std::optional<Duration> replaced_after, bool same_ip = false);
  void RemovePod(int slot);
  void StartRedis(int slot);
  void StartCoordinator(int slot);
  void StallCoordinator(int slot, Duration lasts);
  void StallPod(int slot, Duration lasts);
  void StopRedis(int slot, Duration lasts);

  // ---- on purpose
  // SIGTERM to everything in the pod. Its coordinator leaves, its proxy drains; then redis ends (it is a native
  // sidecar), and the pod. After the grace period all of it is killed.
  void Terminate(int slot, std::optional<Duration> replaced_after);
  // Replaces every pod as a Deployment with maxSurge 1 and maxUnavailable 0 does: a new one, and once that is ready,
  // SIGTERM to an old one.
  void Roll();
  bool rolling() const { return rolling_; }
  bool terminating() const;
  // A person asks the member at `slot` for a handover to the member at `to` (none: to any).
  void AskHandover(int slot, std::optional<int> to);
  // A person tells the member at `slot` to lead by force.
  void ForceLead(int slot);
  // A pod of another hive, with data, gets `ip`, which nobody has any more.
  void StartForeign(const std::string& ip);
  // The node of a pod is lost; the pod comes back elsewhere, and its IP goes to another hive, later than anybody who
  // can still act takes to notice.
  void LoseIp(int slot);

  // ---- network and DNS
  void SetCut(int from, int to, int ports, Cut cut);
  void CutBoth(int a, int b, int ports, Cut cut);
  // Splits members by `mask` (bit = slot) for everyone.
  void Partition(uint32_t mask, Cut cut, bool one_way);
  void HealPair(int a, int b);
  void Inject(const Fault& fault);
  // All faults end: what is dead starts, what is frozen wakes, DNS is true; promise 4's clock begins to run.
  void Heal();

  // ---- looking
  // The slot of the member that leads and whose redis is a master; the highest term if several. -1 = none.
  int Leader() const;
  const Coordinator* CoordinatorOf(int slot) const;
  const Redis* RedisOf(int slot) const;
  bool AllEmpty() const;
  Pods& pods() { return pods_; }
  Redises& redises() { return redises_; }
  const Redises& redises() const { return redises_; }
  DnsModel& dns() { return dns_; }
  Network& network() { return network_; }
  Judge& judge() { return judge_; }
  const Judge& judge() const { return judge_; }
  const Coordinators& coordinators() const { return coordinators_; }
  const Proxies& proxies() const { return proxies_; }
  const Clients& clients() const { return clients_; }
  const Options& options() const { return options_; }

 private:
  void Say(const std::string& what);
  bool LastHolder(int slot) const;
  void NetworkChanged();
  std::string NewIp();
  void HealProcesses();
  void RollOn();
  void EndPod(PodId id, std::optional<Duration> replaced_after);
  void FinishTermination(PodId id, std::optional<Duration> replaced_after, SimTime begun);
  bool InSync(int slot) const;
  bool LastInSync(int slot) const;

  const Options options_;
  Random random_;
  Transcript& transcript_;
  EventQueue queue_;
  Pods pods_;
  Network network_;
  DnsModel dns_;
  Redises redises_;
  Judge judge_;
  Coordinators coordinators_;
  Proxies proxies_;
  Clients clients_;
  int next_ip_;
  uint32_t wanted_ = 0;  // slots that should have a pod
  bool healed_ = false;
  bool rolling_ = false;
  std::vector<int> to_replace_;  // by the rolling replacement: slots of old pods
  std::optional<int> surge_;     // slot of the pod that is awaited
  SimTime surge_ready_since_{-1};
};

}  // namespace hive::sim
