#include "attention/cuda/mma/kernel.cuh"

namespace bitreel::cuda {

int attend_fp16_s4(const MmaCall& call, cudaStream_t stream) {
  return mma::launch_any<Product::fp16, true>(call, stream);
}

}  // namespace bitreel::cuda
