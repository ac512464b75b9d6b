#include "attention/cuda/mma/kernel.cuh"

namespace bitreel::cuda {

int attend_e4m3(const MmaCall& call, cudaStream_t stream) {
  return mma::launch_any<Product::e4m3, false>(call, stream);
}

}  // namespace bitreel::cuda
