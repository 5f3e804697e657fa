// What people and Kubernetes do on purpose: SIGTERM, rolling replacement, handover; and an IP that is used again.
#include <algorithm>

#include "tests/sim/world.h"

namespace hive::sim {

namespace {

// terminationGracePeriodSeconds: far above handover_timeout.
constexpr Duration kGrace = Seconds(10);
// The proxy takes no new commands after so long, and serves what is under way for at most so long.
constexpr Duration kDrain = Millis(700);
constexpr Duration kDrainTimeout = Seconds(3);
// Between two looks of whoever waits for a pod.
constexpr Duration kLookEvery = Millis(20);
// What a foreign redis holds.
constexpr int kForeignKeys = 30;

}  // namespace

void World::Terminate(int slot, std::optional<Duration> replaced_after) {
  Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr || pod->terminating) return;
  Say("SIGTERM to pod #" + std::to_string(slot + 1) + " at " + pod->ip);
  pod->terminating = true;
  if (!replaced_after) wanted_ &= ~(1u << slot);
  const PodId id = pod->id;
  if (coordinators_.OfPod(*pod) != nullptr) coordinators_.AskLeave(pod->process);
  queue_.After(kDrain, [this, id] { clients_.Drain(id); });
  queue_.After(kDrain + kLookEvery,
               [this, id, replaced_after, begun = now()] { FinishTermination(id, replaced_after, begun); });
}

// The pod ends once its coordinator has left and its proxy has drained.
void World::FinishTermination(PodId id, std::optional<Duration> replaced_after, SimTime begun) {
  const Pod& pod = pods_[id];
  if (!pod.alive) return;
  const bool left = coordinators_.OfPod(pod) == nullptr;
  const bool drained = clients_.Idle(id) || now() - begun >= kDrainTimeout;
  if ((left && drained) || now() - begun >= kGrace) return EndPod(id, replaced_after);
  queue_.After(kLookEvery, [this, id, replaced_after, begun] { FinishTermination(id, replaced_after, begun); });
}

void World::EndPod(PodId id, std::optional<Duration> replaced_after) {
  const Pod& pod = pods_[id];
  if (pod.foreign()) {
    coordinators_.Kill(pod.process, false);
    redises_.Kill(pod.redis, false);
    pods_[id].alive = false;
    return;
  }
  KillPod(pod.slot, true, replaced_after);
}

bool World::terminating() const {
  return std::any_of(pods_.rows().begin(), pods_.rows().end(),
                     [](const Pod& pod) { return pod.alive && pod.terminating; });
}

void World::AskHandover(int slot, std::optional<int> to) {
  const Coordinator* c = CoordinatorOf(slot);
  if (c == nullptr) return;
  const Pod* target = to ? pods_.OfSlot(*to) : nullptr;
  Say("somebody asks #" + std::to_string(slot + 1) + " for a handover");
  coordinators_.AskHandover(c->id, target == nullptr ? std::string() : target->ip);
}

void World::ForceLead(int slot) {
  const Coordinator* c = CoordinatorOf(slot);
  if (c == nullptr) return;
  Say("somebody tells #" + std::to_string(slot + 1) + " to lead by force");
  coordinators_.ForceLead(c->id);
}

void World::Roll() {
  if (rolling_) return;
  rolling_ = true;
  surge_.reset();
  to_replace_.clear();
  for (int slot = 0; slot < kMemberSlots; ++slot) {
    const Pod* pod = pods_.OfSlot(slot);
    if (pod != nullptr && !pod->terminating) to_replace_.push_back(slot);
  }
  Say("all pods are to be replaced, one by one");
  RollOn();
}

void World::RollOn() {
  if (!rolling_ || healed_) return;
  if (to_replace_.empty()) {
    rolling_ = false;
    Say("all pods have been replaced");
    return;
  }
  queue_.After(kLookEvery, [this] { RollOn(); });
  if (!surge_) {
    for (int slot = 0; slot < kMemberSlots && !surge_; ++slot) {
      const bool replaces = std::find(to_replace_.begin(), to_replace_.end(), slot) != to_replace_.end();
      if (pods_.OfSlot(slot) == nullptr && !replaces) surge_ = slot;
    }
    if (!surge_) return;  // all slots are taken: one is about to end
    StartPod(*surge_);
    surge_ready_since_ = SimTime{-1};
    return;
  }
  if (!InSync(*surge_)) return;
  if (surge_ready_since_ < SimTime{0}) surge_ready_since_ = now();
  if (now() - surge_ready_since_ < options_.min_ready) return;
  const int old = to_replace_.front();
  to_replace_.erase(to_replace_.begin());
  surge_.reset();
  Terminate(old, std::nullopt);
}

// As the readiness probe says.
bool World::InSync(int slot) const {
  const Coordinator* c = CoordinatorOf(slot);
  return c != nullptr && !c->frozen && !pods_[c->pod].terminating && c->view.in_sync && c->view.has_joined;
}

bool World::LastInSync(int slot) const {
  for (int other = 0; other < kMemberSlots; ++other) {
    if (other != slot && InSync(other)) return false;
  }
  return true;
}

void World::LoseIp(int slot) {
  const Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr) return;
  const std::string ip = pod->ip;
  KillPod(slot, false, Millis(500));
  queue_.After(options_.leader_timeout * 3 + Millis(random_.Between(0, 2000)), [this, ip] {
    if (!healed_) StartForeign(ip);
  });
}

void World::StartForeign(const std::string& ip) {
  if (pods_.At(ip) != nullptr || pods_.OfSlot(kForeignSlot) != nullptr) return;
  Pod& pod = pods_.Add(kForeignSlot, ip, 0);
  pod.hive = kOtherHive;
  const PodId id = pod.id;
  Say("a pod of another hive gets " + ip);
  redises_.Start(id);
  redises_.Preload(pods_[id].redis, kForeignKeys);
  coordinators_.Start(id);
  NetworkChanged();
}

}  // namespace hive::sim
