// The pods of a simulated hive: who lives at which IP. A pod that is replaced keeps its row, so that what still points
// at it finds it dead.
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "coordinator/election/events.h"

namespace hive::sim {

using PodId = uint32_t;      // row in Pods
using ProcessId = uint32_t;  // one run of one coordinator; never reused
using RedisId = uint32_t;    // one run of one redis; never reused
inline constexpr uint32_t kNoId = ~0u;

inline constexpr const char* kHive = "sim";
inline constexpr const char* kOtherHive = "other";

inline constexpr uint16_t kCoordinatorPort = 7400;
inline constexpr uint16_t kRedisPort = 6379;

struct Pod {
  PodId id = 0;
  int slot = 0;  // which member it is: a replacement has the same
  std::string ip;
  bool alive = false;
  ProcessId process = kNoId;
  RedisId redis = kNoId;
  std::string hive = kHive;                    // another's: a pod that got a dead member's IP
  bool terminating = false;                    // SIGTERM has been sent
  WallMicros skew = 0;                         // of its wall clock
  std::optional<election::Memory> remembered;  // its --state-dir

  Endpoint coordinator_endpoint() const { return {ip, kCoordinatorPort}; }
  Endpoint redis_endpoint() const { return {ip, kRedisPort}; }
  bool foreign() const { return hive != kHive; }
};

class Pods {
 public:
  // References stay valid until the next Add.
  Pod& Add(int slot, std::string ip, WallMicros skew) {
    Pod pod;
    pod.id = static_cast<PodId>(rows_.size());
    pod.slot = slot;
    pod.ip = std::move(ip);
    pod.alive = true;
    pod.skew = skew;
    rows_.push_back(std::move(pod));
    return rows_.back();
  }

  Pod& operator[](PodId id) { return rows_[id]; }
  const Pod& operator[](PodId id) const { return rows_[id]; }
  std::vector<Pod>& rows() { return rows_; }
  const std::vector<Pod>& rows() const { return rows_; }

  // The living pod at `ip`; null when nobody has it.
  const Pod* At(std::string_view ip) const {
    for (const Pod& pod : rows_) {
      if (pod.alive && pod.ip == ip) return &pod;
    }
    return nullptr;
  }
  // The living pod of member `slot`; null when it has none.
  const Pod* OfSlot(int slot) const {
    for (const Pod& pod : rows_) {
      if (pod.alive && pod.slot == slot) return &pod;
    }
    return nullptr;
  }
  Pod* OfSlot(int slot) { return const_cast<Pod*>(static_cast<const Pods*>(this)->OfSlot(slot)); }

 private:
  std::vector<Pod> rows_;
};

}  // namespace hive::sim
