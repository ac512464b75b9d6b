// Sums in fp32 beside the tensor cores' own.
//
// Products of e4m3 are added to accumulators of 14 bits or so, cut off: earlier keys lose weight with every step, and a
// sum over 17,776 keys comes out 35% wrong. So every few tiles the accumulators, the sum of weights among them, are
// added to fp32 sums in shared memory and start again from zero. Measured relative errors at that length, a quarter of
// the pairs by lines: after 2 tiles 0.0384, 4 0.0385, 8 0.0391, 16 0.0440.
#pragma once

#include "attention/cuda/sm90/exponent.cuh"

namespace bitreel::cuda::sm90 {

template <int outputs, int threads>
struct Sums {
  float4* own;       // four of this thread's, the next four `threads` further on
  float maximum[2];  // that they are of

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < outputs / 4; ++i) own[i * threads] = make_float4(0, 0, 0, 0);
    maximum[0] = maximum[1] = -1e30f;
  }

  // output += sums
  __device__ __forceinline__ void add_to(float (&output)[outputs], const float (&now)[2]) const {
    const float factor[2] = {exp2_of(maximum[0] - now[0]), exp2_of(maximum[1] - now[1])};
#pragma unroll
    for (int i = 0; i < outputs / 4; ++i) {
      const float4 sum = own[i * threads];
      output[4 * i] = fmaf(sum.x, factor[0], output[4 * i]);
      output[4 * i + 1] = fmaf(sum.y, factor[0], output[4 * i + 1]);
      output[4 * i + 2] = fmaf(sum.z, factor[1], output[4 * i + 2]);
      output[4 * i + 3] = fmaf(sum.w, factor[1], output[4 * i + 3]);
    }
  }

  // sums += output, which starts again from zero
  __device__ __forceinline__ void take(float (&output)[outputs], const float (&now)[2]) {
    add_to(output, now);
#pragma unroll
    for (int i = 0; i < outputs / 4; ++i) {
      own[i * threads] = make_float4(output[4 * i], output[4 * i + 1], output[4 * i + 2], output[4 * i + 3]);
    }
#pragma unroll
    for (float& x : output) x = 0;
    maximum[0] = now[0];
    maximum[1] = now[1];
  }
};

}  // namespace bitreel::cuda::sm90
