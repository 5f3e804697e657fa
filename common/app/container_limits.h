// What this process may use of the machine: the limits of its cgroup (v2 or v1) and of its CPU affinity.
//
// Thread rule: free functions that read files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hive {

struct ContainerLimits {
  double cpus = 1;                            // CPUs' worth of time per second: quota, affinity or the machine's
  std::optional<uint64_t> memory_bytes = {};  // nothing: no limit but the machine's
};

// `root` stands before every path read ("" = the real files): for tests. The tightest limit on the way from the
// process's cgroup to the root counts. A file that is missing or unreadable is no limit.
ContainerLimits ReadContainerLimits(const std::string& root = "");

// Event loops that fit: the whole CPUs of the limit, at least 1. Not rounded up: threads beyond the quota get the whole
// process throttled, which is felt as stalls of up to 100 ms.
int DefaultThreads(const ContainerLimits& limits);

}  // namespace hive
