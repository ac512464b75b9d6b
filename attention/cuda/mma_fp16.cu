#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "attention/cuda/mma.cuh"

namespace bitreel::cuda {

int attend_fp16(const MmaCall& call, cudaStream_t stream) {
  return call.packed.dim == 64 ? mma::launch<64, Product::fp16, false>(call, stream)
                               : mma::launch<128, Product::fp16, false>(call, stream);
}

}  // namespace bitreel::cuda
