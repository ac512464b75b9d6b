#include "attention/cuda/mma/kernel.cuh"

namespace bitreel::cuda {

int attend_u8(const MmaCall& call, cudaStream_t stream) {
  return mma::launch_any<Product::u8, false>(call, stream);
}

}  // namespace bitreel::cuda
