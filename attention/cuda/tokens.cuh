// From queries or keys to integers and scales, 128 tokens of a head at a time. Part of the quantization pass
// (quantize.cuh); arithmetic: attention/recipe.h.
//
// A thread keeps its tokens as it read them and goes through them twice: for the largest magnitudes and for the
// integers. Scales are shared through shared memory, as the largest of magnitudes: their bits compare as integers do,
// so that atomicMax gives the same whoever comes first.
#pragma once

#include <cuda_fp8.h>

#include "attention/cuda/statistics.cuh"

namespace bitreel::cuda {

enum class Side { query, key };

inline constexpr int token_threads =
    128;  // of 64 numbers each at 64 channels: what is done once a thread is half of it

// Which of a block's scales (of 128 tokens) a token has.
inline __device__ int group_of(Granularity granularity, Side side, int token) {
  const bool query = side == Side::query;
  switch (granularity) {
    case Granularity::block:
      return query ? 0 : token / 64;
    case Granularity::warp:
      return query ? token / 32 : token / 64;
    case Granularity::thread:
      return query ? token / 32 * 8 + token % 8 : token / 64 * 4 + token % 8 / 2;
    case Granularity::warpgroup:
      return query ? token / 16 * 8 + token % 8 : token % 8 / 2;
    case Granularity::strip:
      return token / 16;
    default:
      return token;
  }
}

// The largest of numbers without a sign, over lanes that lie side by side; of NaN in one and a number in another, NaN:
// their bits compare as unsigned numbers.
template <int Lanes>
__device__ float largest_of_lanes(float x) {
#pragma unroll
  for (int step = 1; step < Lanes; step *= 2)
    x = __uint_as_float(max(__float_as_uint(x), __float_as_uint(__shfl_xor_sync(~0u, x, step))));
  return x;
}

template <int Lanes>
__device__ double sum_of_lanes(double x) {
#pragma unroll
  for (int step = 1; step < Lanes; step *= 2) x += __shfl_xor_sync(~0u, x, step);
  return x;
}

// The integer nearest to x * factor, ties to even, in the lowest bits: beyond 2^23 floats are whole numbers. The
// product is rounded first, as the oracle's is.
inline __device__ unsigned integer_of(float x, float factor) {
  return __float_as_uint(__fadd_rn(__fmul_rn(x, factor), 12582912.0f));
}

inline __device__ unsigned four_bytes(float a, float b, float c, float d, float factor) {
  const unsigned low = __byte_perm(integer_of(a, factor), integer_of(b, factor), 0x0040);
  const unsigned high = __byte_perm(integer_of(c, factor), integer_of(d, factor), 0x0040);
  return __byte_perm(low, high, 0x5410);
}

inline __device__ unsigned eight_halves(const float (&x)[8], float factor) {
  unsigned word = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) word |= (integer_of(x[i], factor) & 15) << (4 * i);
  return word;
}

// Integers up to 16 as e4m3, which holds them.
inline __device__ unsigned four_e4m3(float a, float b, float c, float d, float factor) {
  const auto whole = [&](float x) { return __fadd_rn(__fadd_rn(__fmul_rn(x, factor), 12582912.0f), -12582912.0f); };
  const unsigned low = __nv_cvt_float2_to_fp8x2(make_float2(whole(a), whole(b)), __NV_SATFINITE, __NV_E4M3);
  const unsigned high = __nv_cvt_float2_to_fp8x2(make_float2(whole(c), whole(d)), __NV_SATFINITE, __NV_E4M3);
  return low | high << 16;
}

template <int Dim>
struct TokenMemory {
  float mean[Dim];
  unsigned group_amax[block_tokens];
  float factor[block_tokens];  // that a token's channels are multiplied with before they are rounded
  bool broken[block_tokens];
  double sums[token_threads / 32][Dim];
};

// The mean over the block's tokens of each channel, into memory.mean; sums in fp64.
template <class T, int Dim, int Passes>
__device__ void mean_of_block(const Octet<T> (&x)[Passes], int count, int channel, TokenMemory<Dim>& memory) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    double sum = 0;
#pragma unroll
    for (int pass = 0; pass < Passes; ++pass) sum += static_cast<double>(x[pass][i]);  // zeros beyond the last
#pragma unroll
    for (int step = Dim / 8; step < 32; step *= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (lane < Dim / 8) memory.sums[threadIdx.x / 32][channel + i] = sum;
  }
  __syncthreads();
  if (threadIdx.x < Dim) {
    double sum = 0;
    for (int w = 0; w < token_threads / 32; ++w) sum += memory.sums[w][threadIdx.x];
    memory.mean[threadIdx.x] = static_cast<float>(sum / static_cast<double>(count));
  }
  __syncthreads();
}

// head: of all batches' query or key heads.
template <class T, int Dim, Side side>
__device__ void quantize_tokens(const SourceCall& source, const Recipe& recipe, const PackedCall& call, int block,
                                int head, TokenMemory<Dim>& memory) {
  constexpr int threads_of_row = Dim / 8, rows = token_threads / threads_of_row, passes = block_tokens / rows;
  constexpr bool is_query = side == Side::query;
  const int heads = is_query ? call.query_heads : call.key_heads;
  const int batch = head / heads, of_batch = head % heads;
  const int count = is_query ? call.queries : call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = block * block_tokens, here = min(block_tokens, count - first);
  const std::int64_t all = padded(is_query ? call.queries : call.keys), tokens_before = head * all + first;
  const std::int64_t key_head =
      std::int64_t{batch} * call.key_heads + (is_query ? of_batch / (call.query_heads / call.key_heads) : of_batch);
  const HeadRows<T> source_rows = head_rows<T>(is_query ? source.q : source.k, batch, of_batch, source.dim, Dim);
  const std::int32_t* const kept =
      is_query || source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int row = threadIdx.x / threads_of_row, lane = threadIdx.x % threads_of_row, channel = lane * 8;

  Octet<T> x[passes];
  source_rows.load_some(kept, first + row, rows, count, channel, x);
  if (threadIdx.x < block_tokens) memory.group_amax[threadIdx.x] = 0;
  if (threadIdx.x < Dim) {
    memory.mean[threadIdx.x] = is_query ? 0.0f : __ldcg(call.k_mean + key_head * Dim + threadIdx.x);
  }

  // A query that holds NaN or infinity is a row of zeros to the others of its block.
  float largest[passes];
  if constexpr (is_query) {
#pragma unroll
    for (int pass = 0; pass < passes; ++pass) {
      largest[pass] = largest_of_lanes<threads_of_row>(x[pass].largest());
      const bool broken = !isfinite(largest[pass]);
      if (broken) {
        x[pass].clear();
        largest[pass] = 0;
      }
      if (lane == 0) memory.broken[pass * rows + row] = broken;
    }
    if (call.lse_shift != nullptr) {
#pragma unroll
      for (int pass = 0; pass < passes; ++pass) {
        double dot = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          dot +=
              static_cast<double>(x[pass][i]) * static_cast<double>(__ldcg(call.k_mean + key_head * Dim + channel + i));
        }
        dot = sum_of_lanes<threads_of_row>(dot);
        if (lane == 0) call.lse_shift[tokens_before + pass * rows + row] = static_cast<float>(dot * source.scale);
      }
    }
    if (recipe.smooth_q == Smoothing::on) {
      mean_of_block<T, Dim, passes>(x, here, channel, memory);
      if (threadIdx.x < Dim) call.q_means[tokens_before / block_tokens * Dim + threadIdx.x] = memory.mean[threadIdx.x];
    }
  }
  __syncthreads();

  float mean[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) mean[i] = memory.mean[channel + i];
  const Granularity granularity = is_query ? recipe.q_scales : recipe.k_scales;
  const bool less_mean = !is_query || recipe.smooth_q == Smoothing::on;
#pragma unroll
  for (int pass = 0; pass < passes; ++pass) {
    float amax = 0;
    if (less_mean) {
#pragma unroll
      for (int i = 0; i < 8; ++i) amax = fmaxf(amax, fabsf(x[pass][i] - mean[i]));
      amax = largest_of_lanes<threads_of_row>(amax);
    } else if constexpr (is_query) {
      amax = largest[pass];
    }
    const int token = pass * rows + row;
    if (lane == 0 && token < here) {
      atomicMax(&memory.group_amax[group_of(granularity, side, token)], __float_as_uint(amax));
    }
  }
  __syncthreads();

  if (threadIdx.x < block_tokens) {
    const int token = threadIdx.x;
    const float levels = recipe.qk == QkFormat::int8 ? 127.0f : 7.0f;
    const float amax = fmaxf(__uint_as_float(memory.group_amax[group_of(granularity, side, token)]), least_amax);
    const float scale = amax / levels;
    // Where the logits' scale is negative, the integers are: scales never are.
    memory.factor[token] = (is_query && source.scale < 0 ? -levels : levels) / amax;
    if (is_query) {
      const float log2_scale = static_cast<float>(fabs(source.scale) * 1.4426950408889634);
      call.q_scales[tokens_before + token] = token >= here ? 0.0f : memory.broken[token] ? NAN : scale * log2_scale;
    } else if (call.key_scales == KeyScales::token) {
      call.k_scales[tokens_before + token] = token < here ? scale : 0.0f;
    } else if (token < 4) {
      const float of_group = fmaxf(__uint_as_float(memory.group_amax[token]), least_amax);
      call.k_scales[tokens_before / block_tokens * 4 + token] = of_group / levels;
    }
  }
  __syncthreads();

  std::int8_t* const integers = is_query ? call.q : call.k;
#pragma unroll
  for (int pass = 0; pass < passes; ++pass) {
    const int token = pass * rows + row;
    const float factor = token < here ? memory.factor[token] : 0.0f;  // padding is zeros
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] = x[pass][i] - mean[i];
    const std::int64_t at = (tokens_before + token) * Dim + channel;
    if (call.integers == IntegerFormat::halves) {
      *reinterpret_cast<unsigned*>(integers + at / 2) = eight_halves(values, factor);
    } else if (call.integers == IntegerFormat::e4m3) {
      *reinterpret_cast<uint2*>(integers + at) =
          make_uint2(four_e4m3(values[0], values[1], values[2], values[3], factor),
                     four_e4m3(values[4], values[5], values[6], values[7], factor));
    } else {
      *reinterpret_cast<uint2*>(integers + at) =
          make_uint2(four_bytes(values[0], values[1], values[2], values[3], factor),
                     four_bytes(values[4], values[5], values[6], values[7], factor));
    }
  }
}

}  // namespace bitreel::cuda
