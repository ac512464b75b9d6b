#include "pipelines/model/device.h"

#include <ATen/Context.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <string>

#include "attention/cuda/load_cuda.h"
#include "base/error.h"

namespace bitreel {
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

std::string cuda_device_name() {
  using DeviceName = int (*)(char* name, int length, int device);
  const auto device_name = reinterpret_cast<DeviceName>(dlsym(RTLD_DEFAULT, "cuDeviceGetName"));
  std::array<char, 256> name{};
  if (device_name == nullptr || device_name(name.data(), name.size(), 0) != 0) return "unknown GPU";
  return name.data();
}

}  // namespace bitreel
