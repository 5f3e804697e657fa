// A seeded generator of our own: standard distributions differ by library, and a seed that a failing test prints must
// draw the same numbers everywhere. xoshiro256** seeded by splitmix64 (Blackman and Vigna, https://prng.di.unimi.it).
// Not for secrets.
//
// Thread rule: one thread per generator.
#pragma once

#include <cstdint>

namespace hive {

class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }

  // Uniform over all 64-bit numbers.
  uint64_t Next() {
    const uint64_t result = RotateLeft(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = RotateLeft(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound); 0 when bound is 0. The modulo bias (below 2^-32 for bounds under 2^32) is accepted.
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : Next() % bound; }

  // Uniform in [low, high], both included. Requires low <= high.
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
  }

  // True with a probability of `percent` in a hundred.
  bool Percent(uint64_t percent) { return Below(100) < percent; }

 private:
  static uint64_t RotateLeft(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  uint64_t state_[4];
};

}  // namespace hive
