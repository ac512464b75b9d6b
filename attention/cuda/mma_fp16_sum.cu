#include "attention/cuda/mma/kernel.cuh"

namespace bitreel::cuda {

int attend_fp16_sum(const MmaCall& call, cudaStream_t stream) {
  return mma::launch_any<Product::fp16_sum, false>(call, stream);
}

}  // namespace bitreel::cuda
