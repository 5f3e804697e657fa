// What the named schedules share: a calm hive of the real core, and looks at it. Every schedule is played with a
// handful of seeds, so that what races is drawn in many orders.
//
// Thread rule: one thread. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace hive::sim {

inline constexpr uint64_t kSeeds = 12;
inline constexpr int kLost = -1;
inline constexpr size_t kLines = 150;  // shown of a schedule that fails

using Script = std::function<void(World&)>;

inline Options Calm(uint64_t seed, int members) {
  Options options;
  options.seed = seed;
  options.members = members;
  options.first_ip = 1 + static_cast<int>(seed % 12);
  options.start_spread = Millis(5);
  options.wall_skew = Millis(static_cast<int64_t>(seed % 3) * 400);
  options.write_interval = Millis(40);
  options.lag_high = Millis(3);
  return options;
}

// Plays `script` with several seeds; a seed at which it fails is shown with the end of its transcript.
inline void Play(int members, const Script& script, const std::function<void(Options&)>& change = {}) {
  if (::testing::Test::HasFailure()) return;  // another variant has shown enough
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Options options = Calm(seed, members);
    if (change) change(options);
    Transcript transcript(kLines);
    World world(options, MakeCore, transcript);
    script(world);
    if (world.judge().objects()) {
      ADD_FAILURE() << world.judge().violation()->rule << ": " << world.judge().violation()->text;
    }
    if (!::testing::Test::HasFailure()) continue;
    std::string tail;
    for (const std::string& line : transcript.lines()) tail += line + "\n";
    FAIL() << "seed " << seed << " at " << ToMillis(world.now()) << " ms\n" << tail;
  }
}

// A hive that runs, with data everywhere.
inline void Begin(World& world) {
  world.StartMembers();
  ASSERT_TRUE(world.RunUntilConverged(Seconds(8)));
  ASSERT_TRUE(world.RunFor(Seconds(2)));
  ASSERT_TRUE(world.RedisOf(world.Leader())->has_data());
}

// The slots that do not lead.
inline std::vector<int> Followers(const World& world) {
  std::vector<int> slots;
  for (int slot = 0; slot < world.options().members; ++slot) {
    if (slot != world.Leader()) slots.push_back(slot);
  }
  return slots;
}

inline std::set<WriteId> Held(const World& world, int slot) {
  const Redis* redis = world.RedisOf(slot);
  return redis == nullptr ? std::set<WriteId>()
                          : std::set<WriteId>(redis->content.log.begin(), redis->content.log.end());
}

inline bool LeaderHolds(const World& world, const std::set<WriteId>& writes) {
  const std::set<WriteId> held = Held(world, world.Leader());
  return std::includes(held.begin(), held.end(), writes.begin(), writes.end());
}

// Whether one of these slots leads (in a partition the other side has its own).
inline bool LeadsAmong(const World& world, const std::vector<int>& slots) {
  return std::any_of(slots.begin(), slots.end(), [&](int slot) {
    const Coordinator* c = world.CoordinatorOf(slot);
    return c != nullptr && c->state.role == election::Role::kLeading;
  });
}

// What the leader lacks of all that was ever acknowledged.
inline size_t Missing(const World& world) {
  const int leader = world.Leader();
  return leader == kLost ? ~size_t{0} : world.judge().Missing(*world.RedisOf(leader));
}

inline size_t Writes(const World& world, int slot) {
  const Redis* redis = world.RedisOf(slot);
  return redis == nullptr ? 0 : redis->content.log.size();
}

}  // namespace hive::sim
