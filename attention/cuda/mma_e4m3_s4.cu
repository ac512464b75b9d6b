#include "attention/cuda/mma/kernel.cuh"

namespace bitreel::cuda {

int attend_e4m3_s4(const MmaCall& call, cudaStream_t stream) {
  return mma::launch_any<Product::e4m3, true>(call, stream);
}

}  // namespace bitreel::cuda
