// The end of a pass over rows whose results are in 8 bits: a row's scale and numbers, from the registers of the block
// that shares it out.
//
//   write_in_eight_bits(row, vectors, index, call.to, slots);
//
// row[i]: the thread's own_vector(i), where that is one of `vectors`. Every thread of the block takes part.
#pragma once

#include <cuda_fp8.h>

#include "attention/cuda/vectors.cuh"
#include "pipelines/layers/cuda/folds.cuh"
#include "pipelines/layers/cuda/rows_plugin.h"

namespace bitreel::cuda {

// The tanh form of GELU: x (1 + tanh u) / 2 = x / (1 + e^-2u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
inline __device__ float gelu_tanh(float x) {
  constexpr float twice_root = 1.5957691216f, cubic = 0.044715f;
  return __fdividef(x, 1.0f + __expf(-twice_root * (x + cubic * x * x * x)));
}

template <class T, int Held>
__device__ void write_in_eight_bits(const Octet<T> (&row)[Held], int vectors, std::int64_t index, const EightBits& to,
                                    float* slots) {
  float most = 0;
  bool numbers = true;
#pragma unroll
  for (int i = 0; i < Held; ++i) {
    if (own_vector(i) < vectors) {
#pragma unroll
      for (int j = 0; j < vector; ++j) {
        most = fmaxf(most, fabsf(row[i][j]));
        numbers = numbers && row[i][j] == row[i][j];  // fmaxf passes NaN by
      }
    }
  }
  most = fmaxf(fold_block<Largest>(most, slots), 1e-12f);
  if (__syncthreads_or(numbers ? 0 : 1) != 0) most = nanf("");
  const float factor = to.largest / most;
  if (threadIdx.x == 0) to.scales[index] = most / to.largest;
#pragma unroll
  for (int i = 0; i < Held; ++i) {
    const int v = own_vector(i);
    if (v < vectors) {
      union {
        uint2 words;
        unsigned char bytes[vector];
      } out;
#pragma unroll
      for (int j = 0; j < vector; ++j) {
        const float scaled = row[i][j] * factor;
        out.bytes[j] = to.to_e4m3 != 0 ? __nv_cvt_float_to_fp8(scaled, __NV_SATFINITE, __NV_E4M3)
                                       : static_cast<unsigned char>(static_cast<signed char>(__float2int_rn(scaled)));
      }
      static_cast<uint2*>(to.values)[index * vectors + v] = out.words;
    }
  }
}

}  // namespace bitreel::cuda
