// How much of a dataset a redis holds, and who holds less. Pure. See docs/election.md, "Standing".
//
// Thread rule: pure functions.
#pragma once

#include <cstddef>

#include "coordinator/election/messages.h"

namespace hive::election {

// Promotions remembered. A redis that has missed more than this many leaderships is placed as "unknown".
inline constexpr size_t kMaxLineage = 64;

// True when `a` holds less than `b`: unavailable before available, empty before data, then the older term, then the
// smaller offset; where an offset is unknown (0), fewer keys. A strict weak order while offsets are known.
bool HoldsLess(const Standing& a, const Standing& b);

// The newest term of which a redis with these replication ids and this offset holds a byte beyond that leader's
// promotion offset. 0 when neither id is in the lineage: unknown. A replica that lags adopts the newest id long before
// it has the newest bytes, so the id only says on which line the offset counts.
Term TermHeld(const Lineage& lineage, const RedisStatus& redis);

// Index of the newest promotion in `lineage` whose history the redis is part of; -1: of none.
int PlaceIn(const Lineage& lineage, const RedisStatus& redis);

// True when one of the redis's replication ids is part of `lineage`: it holds (some of) that dataset.
bool Descends(const Lineage& lineage, const RedisStatus& redis);

// What is dropped when this redis begins to replicate a leader with this lineage.
struct Excess {
  int64_t bytes = 0;     // of replication stream, that the lineage has not
  int64_t from = 0;      // offset at which that began
  bool foreign = false;  // none of its histories is in the lineage: all of its keys go

  bool any() const { return bytes > 0 || foreign; }
};
Excess ExcessOver(const Lineage& lineage, const RedisStatus& redis);
// The same for a redis whose ids are too new to be in the leader's lineage: it was promoted more than once since its
// own history, `own`, left the leader's.
Excess ExcessSinceFork(const Lineage& own, const Lineage& lineage, const RedisStatus& redis);
// The same, by whichever of the two knows of the longer common history. `own`: the history that the redis followed
// last, of the same dataset; empty = not known. A replica that was behind when it went over to another leader takes the
// offset at which it was for the end of its former history, although both lines went on together: only `own` knows
// where they parted. But a redis that was made a replica behind its coordinator's back has been where `own` was not.
Excess ExcessOf(const Lineage& own, const Lineage& lineage, const RedisStatus& redis);

// Adds a promotion, forgetting the oldest beyond kMaxLineage.
void Append(Lineage& lineage, Promotion promotion);

}  // namespace hive::election
