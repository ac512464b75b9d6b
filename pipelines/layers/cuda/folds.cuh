// A block that shares out a row: which of its vectors are a thread's, and one number of its many, a sum or the largest.
//
//   __shared__ float slots[threads_of_a_row / warp];
//   const float mean = fold_block<Sum>(own_sum, slots) / dim;   // every thread gets it
//
// The order does not depend on the launch, so results repeat.
#pragma once

#include <cuda_runtime.h>

namespace bitreel::cuda {

inline constexpr int threads_of_a_row = 128;
inline constexpr int warp = 32;

// The vector of a row that is a thread's i-th.
inline __device__ int own_vector(int i) {
  return i * threads_of_a_row + static_cast<int>(threadIdx.x);
}

struct Sum {
  static __device__ float of(float a, float b) { return a + b; }
};
struct Largest {
  static __device__ float of(float a, float b) { return fmaxf(a, b); }
};

// Over the first `Lanes` lanes' groups of a warp.
template <class Fold, int Lanes>
__device__ float fold_lanes(float x) {
#pragma unroll
  for (int offset = Lanes / 2; offset > 0; offset /= 2) x = Fold::of(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

// Over a block of threads_of_a_row; every thread gets the result. `slots` has one place a warp.
template <class Fold>
__device__ float fold_block(float x, float* slots) {
  x = fold_lanes<Fold, warp>(x);
  __syncthreads();  // the slots of the fold before have been read
  if (threadIdx.x % warp == 0) slots[threadIdx.x / warp] = x;
  __syncthreads();
  float all = slots[0];
#pragma unroll
  for (int i = 1; i < threads_of_a_row / warp; ++i) all = Fold::of(all, slots[i]);
  return all;
}

}  // namespace bitreel::cuda
