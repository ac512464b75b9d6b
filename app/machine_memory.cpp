#include "app/machine_memory.h"

#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// Lines of a name and a number.
std::map<std::string, double> counts_in(const fs::path& file) {
  std::map<std::string, double> counts;
  std::ifstream stream(file);
  std::string name, rest;
  for (double count = 0; stream >> name >> count; std::getline(stream, rest)) counts[name] = count;
  return counts;
}

std::optional<double> number_in(const fs::path& file) {
  std::ifstream stream(file);
  double number = 0;
  if (stream >> number) return number;
  return std::nullopt;  // no such file, or "max"
}

// Each group from this process's own up to the root may set a limit (cgroups, version 2).
void apply_control_groups(MachineMemory& memory) {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::/")) continue;
    const fs::path root = "/sys/fs/cgroup";
    for (fs::path group = root / line.substr(4);; group = group.parent_path()) {
      if (const auto limit = number_in(group / "memory.max")) {
        memory.total = std::min(memory.total, *limit);
        // Pages of files count as the group's own, but go when memory is wanted.
        const double held = number_in(group / "memory.current").value_or(0) - counts_in(group / "memory.stat")["file"];
        memory.available = std::min(memory.available, *limit - held);
      }
      if (group == root || !group.has_relative_path()) break;
    }
  }
}

}  // namespace

MachineMemory machine_memory(const c10::Device& device) {
  if (device.is_cuda()) {
    const auto [free, total] = at::accelerator::getMemoryInfo(std::max<c10::DeviceIndex>(device.index(), 0));
    return {.total = static_cast<double>(total), .available = static_cast<double>(free)};
  }
  std::map<std::string, double> kib = counts_in("/proc/meminfo");
  MachineMemory memory{.total = 1024 * (kib["MemTotal:"] + kib["SwapTotal:"]),
                       .available = 1024 * kib["MemAvailable:"]};
  apply_control_groups(memory);
  return memory;
}

}  // namespace bitreel
