// `hive-coordinator handover`: asks a member to see to it that another one leads. `hive-coordinator lead`: tells a
// member to lead itself, without those that are silent.
//
// Thread rule: main.
#pragma once

#include <string>

#include "common/app/member_tls.h"
#include "common/base/endpoint.h"

namespace hive::coordinator {

// Asks `target`, and waits for the outcome. `to`: the IP of the wanted leader, or empty. Prints who leads now and
// returns 0; else prints one line on stderr and returns 1.
int AskForHandover(const Endpoint& target, const MemberTls& tls, const std::string& to);

// Tells the member at `target`, on this pod's loopback, to lead. Prints who leads and what was given up and returns 0.
// Without `force` nothing is done: prints on stderr what would be given up, and returns 1; and so where it cannot be
// done, with one line why. One that leads already is no failure.
int AskToLead(const Endpoint& target, const MemberTls& tls, bool force);

}  // namespace hive::coordinator
