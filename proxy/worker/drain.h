// How a proxy ends on SIGTERM within --drain-timeout, without an error for clients that look at their connection before
// they use it. PURE: times and counts in, stages out.
//
//   SIGTERM          not ready; serves on, new clients too: whoever routes clients learns of it late
//   behind replies   each client's connection is half-closed right behind a reply, in one segment with it: the one
//                    moment at which it is not about to send, since who has read the reply finds the end behind it
//   everyone         the idle, too, and those that pipeline without a pause. Nobody is accepted any more
//   the end          all clients have gone, or the time is over
//
// Thread rule: value type.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/base/time.h"

namespace hive::proxy {

enum class DrainStage : uint8_t { kServing, kBehindReplies, kEveryone, kOver };

class Drain {
 public:
  // Parting takes the last fifth of the time, and no more than this: pools use each of their connections every now and
  // then, and those that are used get their end behind a reply.
  static constexpr Duration kLongestParting = Seconds(5);
  // Of that, the last fifth is for those that were not used.
  static constexpr int kLastPart = 5;
  // Without clients, and without new ones for so long (or a tenth of the time), nobody routes clients here any more.
  static constexpr Duration kNobodyComes = Seconds(1);

  // SIGTERM came at `begin`.
  Drain(Instant begin, Duration timeout)
      : end_(begin + timeout),
        part_at_(end_ - std::min(timeout / 5, kLongestParting)),
        last_part_at_(end_ - (end_ - part_at_) / kLastPart),
        patience_(std::min(timeout / 10, kNobodyComes)),
        last_seen_(begin) {}

  // `clients`: connected now. `accepted`: since the process began. Stages never go back.
  DrainStage At(Instant now, int clients, uint64_t accepted) {
    if (clients > 0 || accepted != accepted_) last_seen_ = now;
    accepted_ = accepted;
    if (now >= end_ || now - last_seen_ >= patience_) return DrainStage::kOver;
    if (now >= last_part_at_) return clients > 0 ? DrainStage::kEveryone : DrainStage::kOver;
    return now >= part_at_ ? DrainStage::kBehindReplies : DrainStage::kServing;
  }

  // When to ask again at the latest.
  Instant NextStageAt(Instant now) const {
    return now < part_at_ ? part_at_ : now < last_part_at_ ? last_part_at_ : end_;
  }

 private:
  Instant end_;
  Instant part_at_;
  Instant last_part_at_;
  Duration patience_;
  Instant last_seen_;
  uint64_t accepted_ = 0;
};

}  // namespace hive::proxy
