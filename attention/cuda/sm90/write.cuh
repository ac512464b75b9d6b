// The end of a tile of queries: division by the sum of weights, V's scales and mean, output and log-sum-exp.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "attention/cuda/sm90/exponent.cuh"
#include "attention/cuda/sm90/layout.cuh"

namespace bitreel::cuda::sm90 {

template <class Out>
__device__ __forceinline__ Out rounded(float x) {
  if constexpr (std::is_same_v<Out, __half>)
    return __float2half_rn(x);
  else if constexpr (std::is_same_v<Out, __nv_bfloat16>)
    return __float2bfloat16_rn(x);
  else
    return x;
}

// Channels 0 and 1 from `out` on, those that there are. A row may start anywhere, so the two may not be aligned as one.
template <class Out>
__device__ __forceinline__ void store_pair(Out* out, int channels, float first, float second) {
  struct alignas(2 * sizeof(Out)) Pair {
    Out first, second;
  };
  if (channels >= 2 && reinterpret_cast<std::uintptr_t>(out) % alignof(Pair) == 0) {
    *reinterpret_cast<Pair*>(out) = {rounded<Out>(first), rounded<Out>(second)};
    return;
  }
  if (channels >= 1) out[0] = rounded<Out>(first);
  if (channels >= 2) out[1] = rounded<Out>(second);
}

// Of rows of one type.
template <class Out, int dim, int outputs>
__device__ __forceinline__ void write_rows_as(const PackedCall& call, const Place& place, int query, int quad_lane,
                                              const float (&output)[outputs], const float (&maximum)[2]) {
  const int batch = place.head / call.query_heads, head = place.head % call.query_heads;
  const float* scales = call.v_scales + std::int64_t{place.key_head} * dim;
  const float* means = call.v_mean + std::int64_t{place.key_head} * dim;
#pragma unroll
  for (int r = 0; r < 2; ++r, query += 8) {
    const float sum = __shfl_sync(~0u, output[dim / 2 + 2 * r], 0, 4);  // column `dim`: its quad's first lane has it
    if (query >= call.queries) continue;
    const float inverse = 1 / sum;
    Out* row = static_cast<Out*>(call.out) + batch * call.out_batch_stride + head * call.out_head_stride +
               query * call.out_token_stride;
#pragma unroll
    for (int i = 0; i < dim / 8; ++i) {
      const int channel = 8 * i + 2 * quad_lane;
      const float2 scale = *reinterpret_cast<const float2*>(scales + channel);
      const float2 mean = *reinterpret_cast<const float2*>(means + channel);
      store_pair(row + channel, call.out_dim - channel, fmaf(output[4 * i + 2 * r] * inverse, scale.x, mean.x),
                 fmaf(output[4 * i + 2 * r + 1] * inverse, scale.y, mean.y));
    }
    if (call.log_sum_exp != nullptr && quad_lane == 0) {
      constexpr float natural = 0.693147180559945f;
      const float shift = call.lse_shift[std::int64_t{place.head} * padded(call.queries) + query];
      const float nan_of_head = 0 * scales[0];  // V's scales are NaN where the head's keys or values are
      call.log_sum_exp[batch * call.lse_batch_stride + head * call.lse_head_stride + query * call.lse_token_stride] =
          fmaf(maximum[r] - weight_log2 + log2f(sum), natural, shift) + nan_of_head;
    }
  }
}

// Rows `query` and `query` + 8 of a consumer's thread. Once a tile, so that the type of output is not worth a kernel.
template <int dim, int outputs>
__device__ __forceinline__ void write_rows(const PackedCall& call, const Place& place, int query, int quad_lane,
                                           const float (&output)[outputs], const float (&maximum)[2]) {
  switch (call.element) {
    case Element::fp16:
      return write_rows_as<__half, dim>(call, place, query, quad_lane, output, maximum);
    case Element::bf16:
      return write_rows_as<__nv_bfloat16, dim>(call, place, query, quad_lane, output, maximum);
    default:
      return write_rows_as<float, dim>(call, place, query, quad_lane, output, maximum);
  }
}

}  // namespace bitreel::cuda::sm90
