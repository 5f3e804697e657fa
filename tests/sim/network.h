// What happens to a message between two pods: latency, stalls, loss, cuts in one or both directions, rejecting
// firewalls, dead IPs. Decides and draws; it carries nothing itself.
//
// Cuts are between members' slots (a node's network), so a replaced pod is born into its predecessor's partition.
//
// Thread rule: one thread.
#pragma once

#include <string_view>

#include "common/base/random.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/options.h"
#include "tests/sim/pods.h"

namespace hive::sim {

enum class Port : uint8_t { kCoordinator, kRedis };

enum class Cut : uint8_t {
  kNone,
  kSilent,  // packets vanish: nobody is told
  kReset,   // a rejecting firewall: resets and refusals
};

// What a sender meets at the other end.
enum class Fate : uint8_t {
  kArrives,
  kSilence,      // nothing comes back, ever
  kRefused,      // a reset comes back
  kUnreachable,  // no route to host
};

struct Passage {
  Fate fate = Fate::kSilence;
  Duration delay{0};  // one way; of the answer, where it fails
  PodId to = kNoId;   // kArrives
};

class Network {
 public:
  Network(const Options& options, const Pods& pods, const EventQueue& queue, Random& random)
      : options_(options), pods_(pods), queue_(queue), random_(random) {}

  // A message on a connection that is up, or (`fresh`) a new connection, which needs both directions.
  Passage Send(const Pod& from, std::string_view to_ip, Port port, bool fresh);

  // One-way delay between two pods that can speak, stalls included; short within a pod.
  Duration Latency(const Pod& from, const Pod& to);

  Cut Between(const Pod& from, const Pod& to, Port port) const {
    return from.slot == to.slot ? Cut::kNone : cuts_[from.slot][to.slot][static_cast<int>(port)];
  }
  // When packets between the two, either way, were last in danger: now, while any is.
  SimTime DisturbedAt(const Pod& a, const Pod& b) const;

  void SetCut(int from, int to, int ports, Cut cut);
  void SetLossPercent(int percent);
  // A message is lost and sent again by TCP: how much later it arrives. Zero when it was not lost.
  Duration Retransmission();
  // No cut, no loss, no stalls from here on.
  void Heal();

 private:
  const Options& options_;
  const Pods& pods_;
  const EventQueue& queue_;
  Random& random_;
  SimTime cut_at_[kMaxSlots][kMaxSlots] = {};  // when the cuts between two last changed
  SimTime lossless_since_{0};
  Cut cuts_[kMaxSlots][kMaxSlots][2] = {};
  int loss_percent_ = 0;
  bool healed_ = false;
};

}  // namespace hive::sim
