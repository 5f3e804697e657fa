// `hive-coordinator handover`: asks a member to see to it that another one leads.
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

}  // namespace hive::coordinator
