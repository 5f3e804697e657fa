// The judge on writes: who executes them, what becomes of those that were acknowledged, what clients see.
#include "tests/sim/judge.h"

namespace hive::sim {

void Judge::OnExecuted(const Redis&, WriteId) {}

void Judge::OnClientError(const Pod&, const char*, bool) {}

}  // namespace hive::sim
