#include "common/app/container_limits.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace hive {
namespace {

// cgroup v1 writes "no limit" as the largest number of pages; nothing near this is a limit.
constexpr uint64_t kUnlimitedBytes = uint64_t{1} << 60;

std::optional<std::string> ReadFirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<uint64_t> ReadNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Folders from the process's cgroup up to the mount: `path` is "/a/b". Within a container the path may be that of the
// host, whose folders are not mounted here: those files are missing, and the mount itself is the container's cgroup.
std::vector<std::string> UpTo(const std::string& mount, std::string path) {
  std::vector<std::string> folders;
  while (path.size() > 1) {
    folders.push_back(mount + path);
    path.resize(path.rfind('/'));
  }
  folders.push_back(mount);
  return folders;
}

struct CgroupPaths {
  std::string unified = "/";  // v2
  std::string cpu = "/";      // v1
  std::string memory = "/";   // v1
};

// Lines of /proc/self/cgroup: "0::/path" for v2, "4:cpu,cpuacct:/path" for a v1 controller.
CgroupPaths ReadCgroupPaths(const std::string& root) {
  CgroupPaths paths;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") paths.unified = path;
    if (controllers.find(",cpu,") != std::string::npos) paths.cpu = path;
    if (controllers.find(",memory,") != std::string::npos) paths.memory = path;
  }
  return paths;
}

void Tighten(std::optional<double>& limit, double value) { limit = limit ? std::min(*limit, value) : value; }

void TightenCpus(std::optional<double>& cpus, std::optional<uint64_t> quota, std::optional<uint64_t> period) {
  if (quota && period && *period > 0) Tighten(cpus, static_cast<double>(*quota) / static_cast<double>(*period));
}

void TightenMemory(std::optional<uint64_t>& memory, const std::string& file) {
  const std::optional<std::string> line = ReadFirstLine(file);
  const std::optional<uint64_t> bytes = line ? ReadNumber(*line) : std::nullopt;  // "max" is no number
  if (bytes && *bytes < kUnlimitedBytes) memory = memory ? std::min(*memory, *bytes) : *bytes;
}

double ProcessCpus() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

ContainerLimits ReadContainerLimits(const std::string& root) {
  const CgroupPaths paths = ReadCgroupPaths(root);
  const std::string mount = root + "/sys/fs/cgroup";
  std::optional<double> quota;
  ContainerLimits limits;

  for (const std::string& folder : UpTo(mount, paths.unified)) {
    std::istringstream cpu_max(ReadFirstLine(folder + "/cpu.max").value_or(""));  // "200000 100000" or "max 100000"
    std::string allowed, period;
    cpu_max >> allowed >> period;
    TightenCpus(quota, ReadNumber(allowed), ReadNumber(period));
    TightenMemory(limits.memory_bytes, folder + "/memory.max");
  }
  for (const std::string& folder : UpTo(mount + "/cpu", paths.cpu)) {
    // -1, no quota, is no number here.
    TightenCpus(quota, ReadNumber(ReadFirstLine(folder + "/cpu.cfs_quota_us").value_or("")),
                ReadNumber(ReadFirstLine(folder + "/cpu.cfs_period_us").value_or("")));
  }
  for (const std::string& folder : UpTo(mount + "/memory", paths.memory)) {
    TightenMemory(limits.memory_bytes, folder + "/memory.limit_in_bytes");
  }

  Tighten(quota, ProcessCpus());
  limits.cpus = *quota;
  return limits;
}

int DefaultThreads(const ContainerLimits& limits) { return std::max(1, static_cast<int>(limits.cpus)); }

}  // namespace hive
