#include "app/peak_memory.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

#include <fstream>
#include <string>

namespace bitreel {
namespace {

c10::DeviceAllocator* allocator_of(c10::Device device) {
  return device.is_cpu() ? nullptr : c10::getDeviceAllocator(device.type());
}

// CUDA's first device where none is named.
c10::DeviceIndex index_of(c10::Device device) {
  return device.has_index() ? device.index() : c10::DeviceIndex{0};
}

}  // namespace

PeakMemory::PeakMemory(c10::Device device) : device_(device) {
  std::ofstream("/proc/self/clear_refs") << "5";  // sets VmHWM back: proc(5)
  c10::DeviceAllocator* const allocator = allocator_of(device);
  if (allocator != nullptr && allocator->initialized()) allocator->resetPeakStats(index_of(device));
}

std::int64_t PeakMemory::host_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key;) {
    std::int64_t kibibytes = 0;
    if (key == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

std::int64_t PeakMemory::device_bytes() const {
  c10::DeviceAllocator* const allocator = allocator_of(device_);
  if (allocator == nullptr || !allocator->initialized()) return 0;
  constexpr auto aggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return allocator->getDeviceStats(index_of(device_)).allocated_bytes[aggregate].peak;
}

}  // namespace bitreel
