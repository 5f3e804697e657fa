// How long something took, counted by bounds that all histograms of ours share.
//
// Thread rule: value type.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/base/time.h"

namespace hive {

struct DurationHistogram {
  // Upper bounds, included, in seconds: from a round trip within a cluster to an election that waits for a person.
  // About three for each power of ten: a quantile that is read off them is right to within a factor of 2.5.
  static constexpr std::array kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                         0.1,    0.25,    0.5,    1.0,   2.5,    5.0,   10.0, 30.0,  60.0};

  // So many `times`. A negative span counts as 0.
  void Observe(Duration took, uint64_t times = 1) {
    const double seconds = took < Duration(0) ? 0.0 : std::chrono::duration<double>(took).count();
    size_t bucket = 0;
    while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
    counts[bucket] += times;
    sum += seconds * static_cast<double>(times);
  }

  void Add(const DurationHistogram& other) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
  }

  std::array<uint64_t, kBounds.size() + 1> counts{};  // each for itself, not cumulated; the last is beyond all bounds
  double sum = 0;                                     // in seconds
};

}  // namespace hive
