// Eight channels of one token at a time, of any element type and stride, as floats.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "attention/cuda/packed.h"

namespace bitreel::cuda {

inline __device__ float to_float(float x) {
  return x;
}
inline __device__ float to_float(__half x) {
  return __half2float(x);
}
inline __device__ float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
inline __device__ void from_float(float x, float* to) {
  *to = x;
}
inline __device__ void from_float(float x, __half* to) {
  *to = __float2half_rn(x);
}
inline __device__ void from_float(float x, __nv_bfloat16* to) {
  *to = __float2bfloat16_rn(x);
}

// Tokens of one head. `aligned`: every group of eight channels lies on 16 bytes and is whole.
template <class T>
struct HeadRows {
  const T* data;
  std::int64_t stride;
  int dim;
  bool aligned;

  // Channels [first, first + 8), zeros beyond dim.
  __device__ void load(std::int64_t token, int first, float (&x)[8]) const {
    const T* const from = data + token * stride + first;
    if (aligned) {
      constexpr int words = sizeof(T) * 8 / 16;
      uint4 raw[words];
#pragma unroll
      for (int i = 0; i < words; ++i) raw[i] = __ldg(reinterpret_cast<const uint4*>(from) + i);
      const T* const values = reinterpret_cast<const T*>(raw);
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] = to_float(values[i]);
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] = first + i < dim ? to_float(from[i]) : 0.0f;
    }
  }
};

// dim 64 or 128 stands for the caller's: `aligned` asks that they are the same.
template <class T>
inline __device__ HeadRows<T> head_rows(const Rows& rows, int batch, int head, int dim, int packed_dim) {
  const T* const data =
      static_cast<const T*>(rows.data) + batch * rows.batch_stride + head * rows.head_stride;
  constexpr std::int64_t whole = 16 / sizeof(T);
  const bool aligned = dim == packed_dim && reinterpret_cast<std::uintptr_t>(data) % 16 == 0 &&
                       rows.token_stride % whole == 0;
  return {data, rows.token_stride, dim, aligned};
}

}  // namespace bitreel::cuda
