#include "cli/system_limits.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace mimi::cli {
namespace {

namespace fs = std::filesystem;

int scheduled_processors() {
  for (std::size_t most = CPU_SETSIZE; most <= (1 << 20); most *= 2) {
    std::vector<std::uint8_t> mask(CPU_ALLOC_SIZE(most));
    auto* set = reinterpret_cast<cpu_set_t*>(mask.data());
    if (sched_getaffinity(0, mask.size(), set) == 0) return CPU_COUNT_S(mask.size(), set);
    if (errno != EINVAL) break;  // EINVAL: the machine has more processors than fit
  }
  return 1;
}

// cgroup 2: "max 100000" or "150000 100000".
std::optional<double> quota_v2(const fs::path& directory) {
  std::ifstream file(directory / "cpu.max");
  double quota = 0, period = 0;
  if (file >> quota >> period && quota > 0 && period > 0) return quota / period;
  return std::nullopt;
}

// cgroup 1: a quota of -1 is no limit.
std::optional<double> quota_v1(const fs::path& directory) {
  std::ifstream quota_file(directory / "cpu.cfs_quota_us");
  std::ifstream period_file(directory / "cpu.cfs_period_us");
  double quota = 0, period = 0;
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) {
    return quota / period;
  }
  return std::nullopt;
}

// The tightest limit of a group and of those that it is in. Within a container a group's path may
// be that of the host and not exist here: its parents do.
template <typename Quota>
std::optional<double> tightest(const fs::path& mount, const std::string& group, Quota quota) {
  std::optional<double> limit;
  for (fs::path path = fs::path(group).relative_path();; path = path.parent_path()) {
    const std::optional<double> here = quota(mount / path);
    if (here) limit = std::min(limit.value_or(*here), *here);
    if (path.empty()) return limit;
  }
}

bool names_cpu(const std::string& controllers) {
  std::istringstream list(controllers);
  std::string name;
  while (std::getline(list, name, ',')) {
    if (name == "cpu") return true;
  }
  return false;
}

}  // namespace

std::optional<double> cgroup_cpu_limit(const fs::path& root) {
  std::optional<double> limit;
  const fs::path mount = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  // Each line is hierarchy:controllers:path; no controllers stand for version 2.
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    std::optional<double> here;
    if (controllers.empty()) {
      here = tightest(mount, group, quota_v2);
    } else if (names_cpu(controllers)) {
      const fs::path own = mount / controllers;
      std::error_code error;  // what cannot be examined is not there for us
      here = tightest(fs::exists(own, error) ? own : mount / "cpu", group, quota_v1);
    }
    if (here) limit = std::min(limit.value_or(*here), *here);
  }
  return limit;
}

int granted_threads() {
  const int processors = scheduled_processors();
  const std::optional<double> limit = cgroup_cpu_limit();
  if (!limit) return std::max(1, processors);
  return std::max(1, std::min(processors, static_cast<int>(std::ceil(std::min(*limit, 1e6)))));
}

}  // namespace mimi::cli
