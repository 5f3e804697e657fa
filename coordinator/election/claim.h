// Which claim to believe, and which of two leaders goes on. Pure orders, each total. See docs/election.md, "Who wins"
// and "Two leaders".
//
// Thread rule: pure functions.
#pragma once

#include "coordinator/election/messages.h"

namespace hive::election {

// True when the leader with key `a` should go on and the one with key `b` should yield. In this order: keys before
// none; between different datasets the greater age; more exclusive followers (a member counted by both belongs to the
// higher term); within one dataset the larger offset; the earlier start of candidacy; the alphabetically first IP.
bool Better(const LeaderKey& a, const LeaderKey& b);

}  // namespace hive::election
