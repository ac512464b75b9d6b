#include "attention/cuda/load_cuda.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <atomic>

namespace bitreel {
namespace {

// What the driver itself says when it can't be used, or nothing when it can.
std::string driver_complaint(void* driver) {
  using Initialize = int (*)(unsigned flags);
  using ErrorString = int (*)(int error, const char** text);
  const auto initialize = reinterpret_cast<Initialize>(dlsym(driver, "cuInit"));
  const auto error_string = reinterpret_cast<ErrorString>(dlsym(driver, "cuGetErrorString"));
  if (initialize == nullptr || error_string == nullptr) return "libcuda.so.1 is not a CUDA driver";
  const int error = initialize(0);
  if (error == 0) return {};
  const char* text = nullptr;
  error_string(error, &text);
  return fmt::format("the driver says: {}", text != nullptr ? text : "unknown error");
}

std::string loader_error() {
  const char* const reason = dlerror();
  return reason != nullptr ? reason : "a library can't be loaded";
}

std::atomic<bool> loaded = false;

}  // namespace

// The driver's library is tried first: it is small, and where it is missing there is no GPU to load a gigabyte of
// kernels for.
std::string load_cuda() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (driver == nullptr) return loader_error();
  if (std::string complaint = driver_complaint(driver); !complaint.empty()) return complaint;
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) return loader_error();
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() < 1) return "LibTorch sees no usable GPU";
  loaded = true;
  return {};
}

bool cuda_is_loaded() {
  return loaded;
}

}  // namespace bitreel
