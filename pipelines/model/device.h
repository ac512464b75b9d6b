// Which device a run uses. The binary links LibTorch's CPU library only; its CUDA library is loaded here, at run time.
//
//   const at::Device device = resolve_device(DeviceChoice::automatic);   // cuda when there is one, else cpu
//
// Must run before anything touches CUDA. Errors: Error when CUDA is asked for and LibTorch's CUDA library, its own
// libraries or a GPU is missing, with the reason that the loader gives.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>

namespace bitreel {

enum class DeviceChoice { automatic, cpu, cuda };

at::Device resolve_device(DeviceChoice choice);

// Why no GPU can be used here, as the loader or the driver says it; empty when one can. Loads CUDA's libraries, once.
const std::string& cuda_obstacle();

// What LibTorch's allocator gives to this process at most; does nothing on a CPU. One limit for the process: UsageError
// when it has another already, Error when memory is in use.
void limit_gpu_memory(const at::Device& device, double bytes);
// The limit; nothing when there is none.
std::optional<double> gpu_memory_limit();

// "NVIDIA H100 80GB HBM3", once resolve_device() has chosen it.
std::string cuda_device_name();

}  // namespace bitreel
