#include "pipelines/model/device.h"

#include <ATen/Context.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <mutex>
#include <string>

#include "attention/cuda/load_cuda.h"
#include "base/error.h"

namespace bitreel {
namespace {

std::mutex one_limits;
std::optional<double> limit;

// Of the first GPU, asked of the driver: LibTorch's own answer would start its allocator.
double whole_gpu_bytes() {
  using TotalMemory = int (*)(std::size_t * bytes, int device);
  const auto total_memory = reinterpret_cast<TotalMemory>(dlsym(RTLD_DEFAULT, "cuDeviceTotalMem_v2"));
  std::size_t bytes = 0;
  if (total_memory == nullptr || total_memory(&bytes, 0) != 0 || bytes == 0)
    throw Error("`gpu_memory_limit`: the driver does not say how much memory the GPU has", "leave it out");
  return static_cast<double>(bytes);
}

}  // namespace

const std::string& cuda_obstacle() {
  static const std::string obstacle = load_cuda();
  return obstacle;
}

at::Device resolve_device(DeviceChoice choice) {
  if (choice == DeviceChoice::cpu) return at::kCPU;
  const std::string& missing = cuda_obstacle();
  if (missing.empty()) {
    // fp32 means fp32: cuDNN's convolutions would otherwise round their inputs to 10 bits of mantissa.
    at::globalContext().setAllowTF32CuDNN(false);
    return at::Device(at::kCUDA, 0);
  }
  if (choice == DeviceChoice::automatic) return at::kCPU;
  throw Error(fmt::format("`device` cuda: {}", missing),
              "install a driver and LibTorch 2.11.0 with its CUDA libraries, or use `device` cpu");
}

void limit_gpu_memory(const at::Device& device, double bytes) {
  if (device.is_cpu()) return;
  const std::lock_guard lock(one_limits);
  if (limit == bytes) return;
  if (limit) {
    throw UsageError("`gpu_memory_limit` has two values in this process", "give all jobs the same one");
  }
  if (c10::getDeviceAllocator(device.type())->initialized())
    throw Error("`gpu_memory_limit` comes too late: GPU memory is in use");
  const double share = std::min(bytes / whole_gpu_bytes(), 1.0);
  c10::CachingAllocator::setAllocatorSettings(fmt::format("per_process_memory_fraction:{:.9f}", share));
  limit = bytes;
}

std::optional<double> gpu_memory_limit() {
  const std::lock_guard lock(one_limits);
  return limit;
}

std::string cuda_device_name() {
  using DeviceName = int (*)(char* name, int length, int device);
  const auto device_name = reinterpret_cast<DeviceName>(dlsym(RTLD_DEFAULT, "cuDeviceGetName"));
  std::array<char, 256> name{};
  if (device_name == nullptr || device_name(name.data(), name.size(), 0) != 0) return "unknown GPU";
  return name.data();
}

}  // namespace bitreel
