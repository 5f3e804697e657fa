// The drawn faults, carried out.
#include "tests/sim/world.h"

namespace hive::sim {

void World::Inject(const Fault& fault) {
  if (healed_) return;
  const int leader = Leader();
  const int slot = fault.slot != kLeaderSlot ? fault.slot : leader >= 0 ? leader : 0;
  Say("fault: " + ToString(fault));
  judge_.OnFault();
  const bool kills_data = fault.kind == FaultKind::kKillRedis || fault.kind == FaultKind::kKillPod ||
                          fault.kind == FaultKind::kScaleDown || fault.kind == FaultKind::kForeignIp;
  if (kills_data && options_.keep_one_holder && LastHolder(slot)) return;
  const Cut cut = fault.reset ? Cut::kReset : Cut::kSilent;
  switch (fault.kind) {
    case FaultKind::kKillRedis:
      return KillRedis(slot, fault.lasts);
    case FaultKind::kKillCoordinator:
      return KillCoordinator(slot, fault.lasts);
    case FaultKind::kKillPod:
      return KillPod(slot, fault.reset, fault.lasts, fault.same_ip);
    case FaultKind::kPartition:
      Partition(fault.mask, cut, fault.one_way);
      if (!fault.one_way) judge_.OnPartition(fault.mask);
      break;
    case FaultKind::kCutPair:
      SetCut(slot, fault.other, fault.ports, cut);
      if (!fault.one_way) SetCut(fault.other, slot, fault.ports, cut);
      break;
    case FaultKind::kLoss:
      network_.SetLossPercent(static_cast<int>(1 + fault.mask % 40));
      queue_.After(fault.lasts, [this] { network_.SetLossPercent(0); });
      return;
    case FaultKind::kStallCoordinator:
      return StallCoordinator(slot, fault.lasts);
    case FaultKind::kStallPod:
      return StallPod(slot, fault.lasts);
    case FaultKind::kStopRedis:
      return StopRedis(slot, fault.lasts);
    case FaultKind::kBusyRedis:
      if (RedisOf(slot) != nullptr) redises_.Busy(pods_.OfSlot(slot)->redis, fault.lasts);
      return;
    case FaultKind::kSlowReplication:
      redises_.SetLag(Millis(800));
      queue_.After(fault.lasts, [this] { redises_.SetLag(options_.lag_high); });
      return;
    case FaultKind::kDnsOutage:
      return dns_.Fail(fault.lasts, fault.no_such_name);
    case FaultKind::kDnsTooFew:
      return dns_.Hide(slot, fault.mask, now() + fault.lasts);
    case FaultKind::kDnsStale:
      return dns_.SetLag(slot, fault.lasts);
    case FaultKind::kRestartAllCoordinators:
      for (int each = 0; each < kMemberSlots; ++each) KillCoordinator(each, fault.lasts);
      return;
    case FaultKind::kRestartAllRedisButOne:
      for (int each = 0; each < kMemberSlots; ++each) {
        if (each != slot && (!options_.keep_one_holder || !LastHolder(each))) KillRedis(each, fault.lasts);
      }
      return;
    case FaultKind::kScaleUp:
      for (int each = 0; each < kMemberSlots; ++each) {
        if (pods_.OfSlot(each) == nullptr) return StartPod(each);
      }
      return;
    case FaultKind::kScaleDown:
      return RemovePod(slot);
    case FaultKind::kTerminate:
      if (!LastInSync(slot)) Terminate(slot, fault.lasts);
      return;
    case FaultKind::kTerminateSeveral:
      for (int each = 0; each < kMemberSlots; ++each) {
        if ((fault.mask >> each & 1u) != 0 && !LastInSync(each)) Terminate(each, fault.lasts);
      }
      return;
    case FaultKind::kRoll:
      return Roll();
    case FaultKind::kHandover:
      return AskHandover(slot, fault.one_way ? std::nullopt : std::optional<int>(fault.other));
    case FaultKind::kWallJump:
      if (Pod* pod = pods_.OfSlot(slot)) {
        const WallMicros jump = std::chrono::duration_cast<std::chrono::microseconds>(fault.lasts).count();
        pod->skew += fault.one_way ? -jump : jump;
      }
      return;
    case FaultKind::kSlowRedis:
      if (RedisOf(slot) != nullptr) {
        redises_.Slow(pods_.OfSlot(slot)->redis, Millis(40 + fault.mask % 360), fault.lasts);
      }
      return;
    case FaultKind::kForeignIp:
      return LoseIp(slot);
    case FaultKind::kForceLead:
      return ForceLead(slot);
    case FaultKind::kNewborn:
      if (RedisOf(slot) == nullptr || !RedisOf(slot)->has_data()) return;
      Partition(1u << slot, cut, false);
      for (int each = 0; each < kMemberSlots; ++each) {
        if (each != slot) KillRedis(each, Millis(50));
      }
      break;
  }
  // Cuts end by themselves.
  queue_.After(fault.lasts, [this, fault, slot] {
    judge_.OnFault();
    if (fault.kind == FaultKind::kPartition) return Partition(fault.mask, Cut::kNone, false);
    if (fault.kind == FaultKind::kNewborn) return Partition(1u << slot, Cut::kNone, false);
    HealPair(slot, fault.other);
  });
}

}  // namespace hive::sim
