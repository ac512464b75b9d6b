#include "pipelines/cogvideox/device.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <optional>
#include <string>

#include "attention/error.h"

namespace bitreel {
namespace {

// Makes LibTorch's CUDA backend available; returns why not when that fails. The driver's library is tried first: it is
// small, and where it is missing there is no GPU to load a gigabyte of kernels for.
std::optional<std::string> load_cuda() {
  for (const char* library : {"libcuda.so.1", "libtorch_cuda.so"}) {
    // The handles stay open: LibTorch registers its CUDA kernels for the life of the process.
    if (dlopen(library, RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      const char* reason = dlerror();
      return reason != nullptr ? reason : library;
    }
  }
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() < 1) return "the driver reports no usable GPU";
  return std::nullopt;
}

}  // namespace

at::Device resolve_device(DeviceChoice choice) {
  if (choice == DeviceChoice::cpu) return at::kCPU;
  const std::optional<std::string> missing = load_cuda();
  if (!missing) {
    // fp32 means fp32: cuDNN's convolutions would otherwise round their inputs to 10 bits of mantissa.
    at::globalContext().setAllowTF32CuDNN(false);
    return at::Device(at::kCUDA, 0);
  }
  if (choice == DeviceChoice::automatic) return at::kCPU;
  throw Error(fmt::format("--device cuda: {}", *missing),
              "install a driver and LibTorch 2.11.0 with its CUDA libraries, or use --device cpu");
}

}  // namespace bitreel
