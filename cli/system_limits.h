// How much of the machine this process was granted.
#pragma once

#include <filesystem>
#include <optional>

namespace mimi::cli {

// The processors that the scheduler lets this process use, and no more than the CPU time that its
// control group grants, rounded up: at least 1.
int granted_threads();

// Processors' worth of CPU time that the control groups (version 1 or 2) of the process described
// under `root`/proc/self grant it; none: no limit.
std::optional<double> cgroup_cpu_limit(const std::filesystem::path& root = "/");

}  // namespace mimi::cli
