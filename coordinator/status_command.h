// `hive-coordinator status`: the hive as a table, or as JSON.
//
// Thread rule: main.
#pragma once

#include <string>

#include "common/app/member_tls.h"
#include "common/base/endpoint.h"
#include "hive/v1/hive.pb.h"

namespace hive::coordinator {

// The table. Pure.
std::string FormatState(const v1::GetStateResponse& state);

// A clause to add where a coordinator could not be reached: connected and dropped, one end perhaps speaks TLS and the
// other does not. Empty where that is not it.
const char* ConnectionHint(const std::string& error, bool tls);

// Asks `target` and prints; with `watch`, again and again until the process is ended. Exit code: 1, and one line on
// stderr, when it cannot be reached.
int PrintStatus(const Endpoint& target, const MemberTls& tls, bool json, bool watch);

}  // namespace hive::coordinator
