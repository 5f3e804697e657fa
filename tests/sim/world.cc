#include "tests/sim/world.h"

#include <algorithm>

namespace hive::sim {

using std::chrono::microseconds;

World::World(const Options& options, BrainFactory factory, Transcript& transcript, PlantedBug bug)
    : options_(options),
      random_(options.seed ^ 0x51570f115cedull),
      transcript_(transcript),
      network_(options_, pods_, queue_, random_),
      dns_(queue_),
      redises_(options_, pods_, network_, queue_, random_, transcript_),
      judge_(options_, pods_, redises_, network_, queue_),
      coordinators_(options_, pods_, redises_, dns_, network_, queue_, random_, transcript_, judge_, bug, factory),
      proxies_(options_, pods_, coordinators_, network_, queue_, random_, bug),
      clients_(options_, pods_, redises_, proxies_, network_, queue_, random_, transcript_, judge_, bug),
      next_ip_(options.first_ip) {
  redises_.on_replace = [this](const Redis& replica, const Redis& source, const Content& incoming) {
    judge_.OnReplace(replica, source, incoming);
  };
  redises_.on_executed = [this](const Redis& redis, WriteId write) { judge_.OnExecuted(redis, write); };
  coordinators_.on_left = [this](const Coordinator& c) { coordinators_.Kill(c.id, false); };
}

void World::Say(const std::string& what) {
  if (transcript_.on()) transcript_.Add(queue_.now(), "*", what);
}

bool World::RunUntil(SimTime when) {
  while (!judge_.objects() && queue_.RunNext(when)) {
  }
  return !judge_.objects();
}

bool World::RunUntilConverged(Duration within) {
  const SimTime deadline = now() + within;
  while (RunUntil(std::min(deadline, now() + Millis(20)))) {
    if (!judge_.NotConverged()) return true;
    if (now() >= deadline) return false;
  }
  return false;
}

std::string World::NewIp() { return "10.0.0." + std::to_string(next_ip_++); }

// ---------------------------------------------------------------------------------------------------- members

void World::StartPod(int slot, bool same_ip, bool with_coordinator) {
  wanted_ |= 1u << slot;
  if (pods_.OfSlot(slot) != nullptr) return;
  std::string ip;
  for (const Pod& pod : pods_.rows()) {
    if (same_ip && pod.slot == slot && pods_.At(pod.ip) == nullptr) ip = pod.ip;
  }
  const bool reused = !ip.empty();
  if (!reused) ip = NewIp();
  const WallMicros skew_high = std::chrono::duration_cast<microseconds>(options_.wall_skew).count();
  Pod& pod = pods_.Add(slot, ip, random_.Between(-skew_high, skew_high));
  const PodId id = pod.id;
  Say("pod #" + std::to_string(slot + 1) + " starts at " + ip);
  if (reused) dns_.Remove(ip, now());
  dns_.Add(ip);
  if (!healed_ && options_.dns_lag_high > Duration{0}) {
    dns_.SetLag(slot, Duration(random_.Between(0, options_.dns_lag_high.count())));
  }
  if (!with_coordinator) return;
  redises_.Start(id);
  coordinators_.Start(id);
  proxies_.Start(id);
  clients_.Start(id);
  NetworkChanged();
}

void World::StartMembers() {
  for (int slot = 0; slot < options_.members; ++slot) {
    wanted_ |= 1u << slot;
    const Duration jitter = Duration(random_.Between(0, std::max<int64_t>(1, options_.start_spread.count())));
    queue_.After(options_.start_spread * slot + jitter, [this, slot] {
      if ((wanted_ >> slot & 1u) == 0) return;  // scaled away before it began
      StartPod(slot);
      if (slot != 0 || options_.start != StartStyle::kAdopted) return;
      redises_.Preload(pods_.OfSlot(0)->redis, 20);
    });
  }
}

void World::StartRedis(int slot) {
  const Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr || pod->terminating || redises_.OfPod(*pod) != nullptr) return;
  redises_.Start(pod->id);
  coordinators_.RedisChanged(pod->id);
}

void World::StartCoordinator(int slot) {
  const Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr || pod->terminating || coordinators_.OfPod(*pod) != nullptr) return;
  coordinators_.Start(pod->id);
}

void World::KillRedis(int slot, std::optional<Duration> back_after) {
  const Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr || redises_.OfPod(*pod) == nullptr) return;
  redises_.Kill(pod->redis, false);
  coordinators_.RedisChanged(pod->id);
  if (back_after) queue_.After(*back_after, [this, slot] { StartRedis(slot); });
}

void World::KillCoordinator(int slot, std::optional<Duration> back_after) {
  const Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr || coordinators_.OfPod(*pod) == nullptr) return;
  coordinators_.Kill(pod->process, false);
  if (back_after) queue_.After(*back_after, [this, slot] { StartCoordinator(slot); });
}

void World::KillPod(int slot, bool closes_sockets, std::optional<Duration> replaced_after, bool same_ip) {
  Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr) return;
  Say("pod #" + std::to_string(slot + 1) + " at " + pod->ip +
      (closes_sockets ? " is killed" : " vanishes with its node"));
  if (pod->process != kNoId) coordinators_.Kill(pod->process, !closes_sockets);
  if (pod->redis != kNoId) redises_.Kill(pod->redis, !closes_sockets);
  pod->alive = false;
  dns_.Remove(pod->ip, now() + (healed_ ? Duration{0} : options_.dead_ip_lingers));
  if (replaced_after) {
    queue_.After(*replaced_after, [this, slot, same_ip] {
      if ((wanted_ >> slot & 1u) != 0) StartPod(slot, same_ip);  // unless it was scaled away meanwhile
    });
  }
}

void World::RemovePod(int slot) {
  if ((wanted_ & ~(1u << slot)) == 0) return;  // a hive of nobody promises nothing
  wanted_ &= ~(1u << slot);
  KillPod(slot, true, std::nullopt);
}

void World::StallCoordinator(int slot, Duration lasts) {
  const Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr || coordinators_.OfPod(*pod) == nullptr) return;
  Say("coordinator of #" + std::to_string(slot + 1) + " is frozen for " + std::to_string(ToMillis(lasts)) + " ms");
  coordinators_.Freeze(pod->process);
  queue_.After(lasts, [this, process = pod->process] { coordinators_.Thaw(process); });
}

void World::StallPod(int slot, Duration lasts) {
  const Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr) return;
  StallCoordinator(slot, lasts);
  StopRedis(slot, lasts);
  proxies_.Freeze(pod->id);
  queue_.After(lasts, [this, id = pod->id] {
    proxies_.Thaw(id);
    clients_.Thaw(id);
  });
}

void World::StopRedis(int slot, Duration lasts) {
  const Pod* pod = pods_.OfSlot(slot);
  if (pod == nullptr || redises_.OfPod(*pod) == nullptr) return;
  Say("redis of #" + std::to_string(slot + 1) + " is stopped for " + std::to_string(ToMillis(lasts)) + " ms");
  redises_.Stop(pod->redis);
  queue_.After(lasts, [this, redis = pod->redis] { redises_.Resume(redis); });
}

// ---------------------------------------------------------------------------------------------------- network

void World::NetworkChanged() { coordinators_.NetworkChanged(); }

void World::SetCut(int from, int to, int ports, Cut cut) {
  network_.SetCut(from, to, ports, cut);
  NetworkChanged();
}

void World::CutBoth(int a, int b, int ports, Cut cut) {
  network_.SetCut(a, b, ports, cut);
  network_.SetCut(b, a, ports, cut);
  NetworkChanged();
}

void World::HealPair(int a, int b) { CutBoth(a, b, 3, Cut::kNone); }

void World::Partition(uint32_t mask, Cut cut, bool one_way) {
  for (int a = 0; a < kMaxSlots; ++a) {
    for (int b = 0; b < kMaxSlots; ++b) {
      const bool from_inside = (mask >> a & 1u) != 0 && (mask >> b & 1u) == 0;
      if (!from_inside) continue;
      network_.SetCut(a, b, 3, cut);
      if (!one_way) network_.SetCut(b, a, 3, cut);
    }
  }
  NetworkChanged();
}

// ---------------------------------------------------------------------------------------------------- healing

void World::Heal() {
  Say("everything heals");
  healed_ = true;
  rolling_ = false;
  for (const Pod& pod : std::vector<Pod>(pods_.rows())) {
    if (pod.alive && (pod.terminating || pod.foreign())) EndPod(pod.id, std::nullopt);
  }
  network_.Heal();
  dns_.Heal();
  redises_.SetLag(Millis(5));
  HealProcesses();
  NetworkChanged();
  judge_.OnHeal();
}

void World::HealProcesses() {
  for (int slot = 0; slot < kMemberSlots; ++slot) {
    if ((wanted_ >> slot & 1u) == 0) continue;
    if (pods_.OfSlot(slot) == nullptr) StartPod(slot);
    const Pod& pod = *pods_.OfSlot(slot);
    if (pod.redis != kNoId) {
      Redis& redis = redises_.at(pod.redis);
      redis.busy_until = std::min(redis.busy_until, now());
      redises_.Resume(pod.redis);
    }
    StartRedis(slot);
    if (pod.process != kNoId) coordinators_.Thaw(pod.process);
    StartCoordinator(slot);
    proxies_.Start(pod.id);
    clients_.Start(pod.id);
    proxies_.Thaw(pod.id);
    clients_.Thaw(pod.id);
  }
}

// ---------------------------------------------------------------------------------------------------- looking

int World::Leader() const {
  int leader = -1;
  election::Term term = 0;
  for (int slot = 0; slot < kMemberSlots; ++slot) {
    const Coordinator* c = CoordinatorOf(slot);
    if (c == nullptr || c->state.role != election::Role::kLeading || c->view.claim.term < term) continue;
    leader = slot;
    term = c->view.claim.term;
  }
  return leader;
}

const Coordinator* World::CoordinatorOf(int slot) const {
  const Pod* pod = pods_.OfSlot(slot);
  return pod == nullptr ? nullptr : coordinators_.OfPod(*pod);
}

const Redis* World::RedisOf(int slot) const {
  const Pod* pod = pods_.OfSlot(slot);
  return pod == nullptr ? nullptr : redises_.OfPod(*pod);
}

bool World::AllEmpty() const {
  for (const Pod& pod : pods_.rows()) {
    const Redis* redis = redises_.OfPod(pod);
    if (redis != nullptr && !redis->empty() && !pod.foreign()) return false;
  }
  return true;
}

bool World::LastHolder(int slot) const {
  const Redis* redis = RedisOf(slot);
  if (redis == nullptr || !redis->has_data()) return false;
  for (int other = 0; other < kMemberSlots; ++other) {
    const Redis* copy = other == slot ? nullptr : RedisOf(other);
    if (copy != nullptr && copy->has_data()) return false;
  }
  return true;
}

}  // namespace hive::sim
