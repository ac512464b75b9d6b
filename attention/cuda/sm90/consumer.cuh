// One warpgroup's 64 queries: scores of a tile of keys, weights, and what they add to the output, all in registers.
//
// A thread owns rows lane / 4 and lane / 4 + 8 of its warp's 16, and of every 8 columns two (wgmma.cuh): of a row it
// has 16 pairs of scores. Weights of 16 keys are a thread's four scores of them in order, since V's keys are stored in
// the order that makes them the A operand (attention/cuda/packed.h); V's row of ones makes column `dim` of the output
// the sum of the weights, as rounded.
#pragma once

#include <cstdint>

#include "attention/cuda/sm90/exponent.cuh"
#include "attention/cuda/sm90/layout.cuh"
#include "attention/cuda/sm90/wgmma.cuh"

namespace bitreel::cuda::sm90 {

// The largest scores of the thread's two rows.
__device__ __forceinline__ void largest(const std::int32_t (&s)[64], std::int32_t (&top)[2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    std::int32_t a = max(s[2 * r], s[2 * r + 1]);
    std::int32_t b = max(s[4 + 2 * r], s[5 + 2 * r]);
#pragma unroll
    for (int i = 8; i < 64; i += 8) {
      a = __vimax3_s32(a, s[i + 2 * r], s[i + 2 * r + 1]);
      b = __vimax3_s32(b, s[i + 4 + 2 * r], s[i + 5 + 2 * r]);
    }
    top[r] = max(a, b);
  }
}

__device__ __forceinline__ float largest_of_quad(float x) {
  x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
  return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

// Whether pair i of a row's 16 goes by lines: `lines` of 8, spread evenly.
template <int lines>
constexpr bool by_line(int i) {
  return i * lines % 8 < lines;
}

template <int dim, class Tuning>
struct Consumer {
  using L = Layout<dim, Tuning>;
  using Kind = Scores<Tuning::product>;
  static constexpr int outputs = L::output_registers;

  Tile queries, keys, values;  // of the ring's first stage
  std::uint32_t bases;         // shared memory with four of Kind::base
  float query_scale[2];
  float maximum[2];
  float base;  // that scores still hold
  float output[outputs];
  std::int32_t scores[64];  // bits of floats, where products are those
  std::uint32_t weights[16];

  // Before issue_scores: what it adds to.
  __device__ __forceinline__ void start_scores() {
    if constexpr (Kind::base != 0) {
#pragma unroll
      for (int i = 0; i < 64; i += 4) start_four(scores + i, bases);
    }
  }

  __device__ __forceinline__ void issue_scores(int stage) {
    const Tile tile = keys + stage * (L::key_bytes / 16);
#pragma unroll
    for (int k = 0; k < dim / 32; ++k) {
      multiply_scores<Tuning::product>(scores, descriptor<dim>(queries + k * next_step),
                                       descriptor<dim>(tile + k * next_step),
                                       k == 0 && Kind::base == 0 ? Accumulate::no : Accumulate::yes);
    }
    commit_products();
  }

  __device__ __forceinline__ void issue_values(int stage) {
    const Tile tile = values + stage * (L::value_bytes / 16);
#pragma unroll
    for (int k = 0; k < tile_keys / 32; ++k) {
      multiply_values(output, weights + 4 * k, descriptor<tile_keys>(tile + k * next_step));
    }
    commit_products();
  }

  // Where scores pass the maximum by more than the slack, they become it; then `correction` is what the output so far
  // is to be multiplied with. The same for all threads of a warp. Sets `base`, rarely to none: in the branch that is
  // rare too, since a vote of its own behind the wait for a product costs 1 to 5 % of the kernel (LOG.md, 17).
  __device__ __forceinline__ bool move_maximum(const float (&scale)[2], float (&correction)[2]) {
    std::int32_t top[2];
    largest(scores, top);
    const float x0 = (Kind::value(top[0]) - Kind::base) * scale[0];
    const float x1 = (Kind::value(top[1]) - Kind::base) * scale[1];
    const bool coarse = Kind::base != 0 && (scale[0] > fine_step || scale[1] > fine_step);
    const bool moves = __any_sync(~0u, x0 > maximum[0] + slack || x1 > maximum[1] + slack || coarse);
    base = Kind::base;
    if (moves) {
      if (__any_sync(~0u, coarse)) take_base_off();
      const float x[2] = {largest_of_quad(x0), largest_of_quad(x1)};
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float moved = x[r] > maximum[r] + slack ? x[r] : maximum[r];
        correction[r] = exp2_of(maximum[r] - moved);
        maximum[r] = moved;
      }
    }
    return moves;
  }

  // Rounding base * scale moves scores by less than one of their steps, nothing where those are fine. Queries and keys
  // whose products are millions, as a few tokens' are in some models, have the base taken off first.
  static constexpr float fine_step = 1.0f / 128;  // log2 units

  __device__ __forceinline__ void take_base_off() {
#pragma unroll
    for (std::int32_t& score : scores) score = __float_as_int(Kind::value(score) - Kind::base);
    base = 0;
  }

  __device__ __forceinline__ void weigh(const float (&scale)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float shift = fmaf(-base, scale[r], weight_log2 - maximum[r]);
      const Line line = line_of(scale[r], shift);
#pragma unroll
      for (int i = 0; i < 16; ++i) {
        std::int32_t* s = scores + 4 * i + 2 * r;
        const float first = Kind::value(s[0]), second = Kind::value(s[1]);
        if (by_line<Tuning::lines>(i)) {
          s[0] = static_cast<std::int32_t>(e4m3_pair_by_line(first, second, line));
        } else {
          s[0] = __float_as_int(exp2_of(fmaf(first, scale[r], shift)));
          s[1] = __float_as_int(exp2_of(fmaf(second, scale[r], shift)));
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 16; i += 2) {
#pragma unroll
      for (int r = 0; r < 2; ++r) weights[i + r] = two_pairs(weighed_pair(i, r), weighed_pair(i + 1, r));
    }
  }

  // Pair i of row r, of what stands in the place of its scores: e4m3 already, or two fp32.
  __device__ __forceinline__ std::uint32_t weighed_pair(int i, int r) const {
    const std::int32_t* s = scores + 4 * i + 2 * r;
    return by_line<Tuning::lines>(i) ? static_cast<std::uint32_t>(s[0])
                                     : e4m3_pair(__int_as_float(s[0]), __int_as_float(s[1]));
  }

  __device__ __forceinline__ void multiply_output(const float (&factor)[2]) {
#pragma unroll
    for (int i = 0; i < outputs; ++i) output[i] *= factor[i / 2 % 2];
  }
};

}  // namespace bitreel::cuda::sm90
