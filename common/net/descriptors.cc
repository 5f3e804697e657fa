#include "common/net/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace hive {
namespace {

int AsInt(rlim_t limit) { return static_cast<int>(std::min<rlim_t>(limit, std::numeric_limits<int>::max())); }

}  // namespace

int DescriptorLimit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? AsInt(limit.rlim_cur) : std::numeric_limits<int>::max();
}

int RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);  // where the system refuses it after all, the process does with less
  }
  return DescriptorLimit();
}

std::optional<int> NextDescriptor(const Fd& any) {
  const Fd next(fcntl(any.get(), F_DUPFD_CLOEXEC, 0));
  return next.valid() ? std::optional(next.get()) : std::nullopt;
}

}  // namespace hive
