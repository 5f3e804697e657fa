// What is dropped when this member's redis begins to replicate a leader that does not hold all of it: measured, said
// and counted first.
#include <algorithm>

#include "coordinator/election/core_impl.h"

namespace hive::election {
namespace {

// One reading in 50 ms at the most, and so many of them: about a minute of writes, longer than a partition is survived
// without two sides writing.
constexpr Duration kSampleSpacing = Millis(50);
constexpr size_t kMaxSamples = 1024;

}  // namespace

void Core::Impl::SampleOffset() {
  const int64_t offset = redis_.status().offset;
  if (!offsets_.empty() && (offset == offsets_.back().offset || now_ - offsets_.back().read < kSampleSpacing)) return;
  offsets_.push_back({now_, offset});
  if (offsets_.size() > kMaxSamples) offsets_.pop_front();
}

// Before the redis is told to replicate `leader`, whose lineage is known.
void Core::Impl::MeasureDiscard(const Claim& leader) {
  const RedisStatus& status = redis_.status();
  const bool told =
      measured_.run_id == status.run_id && measured_.leader == leader.leader && measured_.offset == status.offset;
  if (!redis_.holds_data() || told) return;  // REPLICAOF may be repeated
  measured_ = {status.run_id, leader.leader, status.offset};
  const bool same_dataset = held_.dataset.origin == dataset_.origin;
  const Excess excess = ExcessOf(same_dataset ? held_.lineage : Lineage{}, lineage_, status);
  if (!excess.any()) return;
  std::string text;
  if (excess.foreign) {
    ++discarded_.foreign;
    discarded_.foreign_keys += status.keys;
    text = "a whole dataset that is not " + leader.leader.ip + "'s: " + std::to_string(status.keys) + " keys, offset " +
           std::to_string(status.offset);
  } else {
    Duration span{0};
    const auto first = std::find_if(offsets_.begin(), offsets_.end(),
                                    [&](const OffsetSample& sample) { return sample.offset > excess.from; });
    if (first != offsets_.end()) span = offsets_.back().read - first->read + config_.beat_interval;
    discarded_.bytes += excess.bytes;
    discarded_.span += span;
    text = std::to_string(excess.bytes) + " bytes of writes, of " + std::to_string(ToMillis(span)) + " ms, that " +
           leader.leader.ip + " does not have (from offset " + std::to_string(excess.from) + ")";
  }
  ++discarded_.times;
  discarded_.last = "dropped for " + ToString(leader) + ": " + text;
  NoteLine(Note::Level::kWarning, "drops " + text + " to replicate " + ToString(leader));
}

// A redis that was pointed at this leader's address before needs no command to drop what it holds: its next sync does.
void Core::Impl::MeasureSilentDiscard() {
  const RedisStatus& status = redis_.status();
  const bool points_there = !status.is_master && status.master == following_->claim.redis;
  if (points_there && Descends(held_.lineage, status) && !Descends(lineage_, status)) MeasureDiscard(following_->claim);
}

}  // namespace hive::election
