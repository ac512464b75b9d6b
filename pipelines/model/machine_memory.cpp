#include "pipelines/model/machine_memory.h"

#include <ATen/DeviceAccelerator.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>

#include "pipelines/model/device.h"

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

MachineMemory gpu_memory(const c10::Device& device) {
  const c10::DeviceIndex index = std::max<c10::DeviceIndex>(device.index(), 0);
  const auto [free, total] = at::accelerator::getMemoryInfo(index);
  MachineMemory memory{.total = static_cast<double>(total), .available = static_cast<double>(free)};
  double allocated = 0;
  c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(device.type());
  if (allocator->initialized()) {
    constexpr auto aggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const c10::CachingDeviceAllocator::DeviceStats stats = allocator->getDeviceStats(index);
    allocated = static_cast<double>(stats.allocated_bytes[aggregate].current);
    memory.available += static_cast<double>(stats.reserved_bytes[aggregate].current) - allocated;
  }
  if (const std::optional<double> limit = gpu_memory_limit(); limit && *limit < memory.total) {
    memory.total = *limit;
    memory.available = std::min(memory.available, *limit - allocated);
    memory.is_limited = true;
  }
  return memory;
}

}  // namespace

MachineMemory machine_memory(const c10::Device& device) {
  if (device.is_cuda()) return gpu_memory(device);
  std::map<std::string, double> kib = counts_in("/proc/meminfo");
  MachineMemory memory{.total = 1024 * (kib["MemTotal:"] + kib["SwapTotal:"]),
                       .available = 1024 * kib["MemAvailable:"]};
  apply_control_groups(memory);
  return memory;
}

}  // namespace bitreel
