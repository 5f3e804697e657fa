#include "coordinator/election/standing.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace hive::election {
namespace {

// Index of the newest promotion that started the history `id`, or -1.
int NewestOf(const Lineage& lineage, const std::string& id) {
  if (id.empty()) return -1;
  for (int i = static_cast<int>(lineage.size()) - 1; i >= 0; --i) {
    if (lineage[static_cast<size_t>(i)].replication_id == id) return i;
  }
  return -1;
}

}  // namespace

int PlaceIn(const Lineage& lineage, const RedisStatus& redis) {
  const int by_id = NewestOf(lineage, redis.replication_id);
  return by_id >= 0 ? by_id : NewestOf(lineage, redis.second_replication_id);
}

bool HoldsLess(const Standing& a, const Standing& b) {
  if (a.available != b.available) return !a.available;
  if (a.empty != b.empty) return a.empty;
  if (a.empty) return false;
  if (a.term != b.term) return a.term < b.term;
  if (a.offset != 0 && b.offset != 0) return a.offset < b.offset;
  return std::tie(a.keys, a.offset) < std::tie(b.keys, b.offset);
}

Term TermHeld(const Lineage& lineage, const RedisStatus& redis) {
  const int place = PlaceIn(lineage, redis);
  if (place < 0) return 0;
  for (int i = place; i > 0; --i) {
    const Promotion& promotion = lineage[static_cast<size_t>(i)];
    if (redis.offset > promotion.offset) return promotion.term;
  }
  return lineage.front().term;
}

bool Descends(const Lineage& lineage, const RedisStatus& redis) { return PlaceIn(lineage, redis) >= 0; }

Excess ExcessOver(const Lineage& lineage, const RedisStatus& redis) {
  int place = NewestOf(lineage, redis.replication_id);
  int64_t branched = redis.offset;  // where its own history left the line
  if (place < 0) {
    place = NewestOf(lineage, redis.second_replication_id);
    if (redis.second_offset > 0) branched = std::min(branched, redis.second_offset - 1);
  }
  if (place < 0) return {0, 0, redis.keys > 0};
  const size_t next = static_cast<size_t>(place) + 1;
  if (next < lineage.size()) branched = std::min(branched, lineage[next].offset);
  return {redis.offset - branched, branched, false};
}

Excess ExcessSinceFork(const Lineage& own, const Lineage& lineage, const RedisStatus& redis) {
  for (size_t i = own.size(); i-- > 0;) {
    const int place = NewestOf(lineage, own[i].replication_id);
    if (place < 0) continue;
    int64_t branched = redis.offset;
    if (i + 1 < own.size()) branched = std::min(branched, own[i + 1].offset);
    const size_t next = static_cast<size_t>(place) + 1;
    if (next < lineage.size()) branched = std::min(branched, lineage[next].offset);
    return {redis.offset - branched, branched, false};
  }
  return {0, 0, redis.keys > 0};
}

Excess ExcessOf(const Lineage& own, const Lineage& lineage, const RedisStatus& redis) {
  const Excess by_ids = ExcessOver(lineage, redis);
  if (NewestOf(lineage, redis.replication_id) >= 0 || !Descends(own, redis)) return by_ids;
  if (!by_ids.foreign && NewestOf(own, redis.replication_id) < 0) return by_ids;
  const Excess since_fork = ExcessSinceFork(own, lineage, redis);
  if (since_fork.foreign) return by_ids;
  return by_ids.foreign || since_fork.from > by_ids.from ? since_fork : by_ids;
}

void Append(Lineage& lineage, Promotion promotion) {
  lineage.push_back(std::move(promotion));
  if (lineage.size() > kMaxLineage) lineage.erase(lineage.begin());
}

}  // namespace hive::election
