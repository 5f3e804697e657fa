// How many descriptors this process may have, and whether some are left.
//
// Thread rule: free functions about the whole process: what another thread opens or closes meanwhile is its own affair.
#pragma once

#include <optional>

#include "common/net/fd.h"

namespace hive {

// Numbers of descriptors are below this: the soft limit of open files (ulimit -n).
int DescriptorLimit();

// Raises it as far as the hard limit permits, and returns what holds then. Many systems set a low soft limit only for
// the sake of programs that use select(), which cannot watch numbers from 1024 on.
int RaiseDescriptorLimit();

// The number that the next descriptor will have: the lowest that is free. Nothing: none is left. `any`: one that is
// open.
std::optional<int> NextDescriptor(const Fd& any);

}  // namespace hive
