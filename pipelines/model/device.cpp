#include "pipelines/model/device.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>

#include "base/error.h"

namespace bitreel {
namespace {

// What the driver itself says when it can't be used, or nothing when it can.
std::optional<std::string> driver_complaint(void* driver) {
  using Initialize = int (*)(unsigned flags);
  using ErrorString = int (*)(int error, const char** text);
  const auto initialize = reinterpret_cast<Initialize>(dlsym(driver, "cuInit"));
  const auto error_string = reinterpret_cast<ErrorString>(dlsym(driver, "cuGetErrorString"));
  if (initialize == nullptr || error_string == nullptr) return "libcuda.so.1 is not a CUDA driver";
  const int error = initialize(0);
  if (error == 0) return std::nullopt;
  const char* text = nullptr;
  error_string(error, &text);
  return fmt::format("the driver says: {}", text != nullptr ? text : "unknown error");
}

// Makes LibTorch's CUDA backend available; returns why not when that fails. The driver's library is tried first: it is
// small, and where it is missing there is no GPU to load a gigabyte of kernels for.
std::optional<std::string> load_cuda() {
  // The handles stay open: LibTorch registers its CUDA kernels for the life of the process.
  const auto loader_error = [] {
    const char* reason = dlerror();
    return std::string(reason != nullptr ? reason : "a library can't be loaded");
  };
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (driver == nullptr) return loader_error();
  if (std::optional<std::string> complaint = driver_complaint(driver)) return complaint;
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) return loader_error();
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() < 1) return "LibTorch sees no usable GPU";
  return std::nullopt;
}

}  // namespace

const std::string& cuda_obstacle() {
  static const std::string obstacle = load_cuda().value_or("");
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
  throw Error(fmt::format("--device cuda: {}", missing),
              "install a driver and LibTorch 2.11.0 with its CUDA libraries, or use --device cpu");
}

std::string cuda_device_name() {
  using DeviceName = int (*)(char* name, int length, int device);
  const auto device_name = reinterpret_cast<DeviceName>(dlsym(RTLD_DEFAULT, "cuDeviceGetName"));
  std::array<char, 256> name{};
  if (device_name == nullptr || device_name(name.data(), name.size(), 0) != 0) return "unknown GPU";
  return name.data();
}

}  // namespace bitreel
