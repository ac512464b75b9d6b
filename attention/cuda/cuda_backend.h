// The integer kernels for NVIDIA GPUs: every recipe, in the plugin libbitreel_cuda.so (attention/cuda/plugin.h).
//
//   for (const Backend& backend : cuda_backends()) fmt::print("{}: {}\n", backend.name, backend.missing(at::kCUDA));
//
// cuda-sm90      wgmma and TMA: what its kernels are made for (attention/cuda/sm90/)
// cuda-mma       mma.sync: every recipe, mask, shape and stride, on sm_80 and later
// cuda-mma-sm80  the same with the units of an sm_80 alone, whatever the GPU: e4m3 numbers are multiplied as fp16,
//                which holds them, and 4-bit integers by the INT4 units, which the GPUs of sm_90 and later emulate
//
// Kernels run on LibTorch's current stream, and neither wait nor allocate but through LibTorch: a call can be captured
// into a CUDA graph. Equal inputs give equal bits. With smooth_q heads come in chunks, so that memory beyond the packed
// integers (3 bytes an element, 4 with fp16 PV, and 2 of a key's that comes before its norm) stays below
// cuda::bias_bytes (prepared_call.h).
#pragma once

#include "attention/backends.h"
#include "attention/cuda/prepared_call.h"

namespace bitreel {

// What the quantization pass of a call writes, as the named backend would run it: for tests to look into.
cuda::PackedTensors quantize_on_cuda(const AttendCall& call, const Backend& backend);

}  // namespace bitreel
