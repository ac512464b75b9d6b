// From queries or keys to integers and scales, 128 tokens of a head at a time. Part of the quantization pass
// (quantize.cuh); arithmetic: attention/recipe.h.
//
// A thread keeps eight channels of its tokens as it read them and goes through them twice: for the largest magnitudes
// and for the integers. Scales are shared through shared memory, as the largest of magnitudes: their bits compare as
// integers do, so that atomicMax gives the same whoever comes first.
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

// Of numbers without a sign, the larger; of NaN and a number, NaN: their bits compare as unsigned numbers.
inline __device__ float larger_magnitude(float a, float b) {
  return __uint_as_float(max(__float_as_uint(a), __float_as_uint(b)));
}

// Of numbers without a sign, as many in each of as many lanes that lie side by side: in lane i the largest of the i-th.
// Each exchange halves what a lane still answers for.
template <int Lanes>
__device__ float largest_by_lane(float (&x)[Lanes]) {
  if constexpr (Lanes == 1) {
    return x[0];
  } else {
    constexpr int half = Lanes / 2;
    const bool upper = (threadIdx.x & half) != 0;
    float left[half];
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float kept = upper ? x[i + half] : x[i];
      left[i] = larger_magnitude(kept, __shfl_xor_sync(~0u, upper ? x[i] : x[i + half], half));
    }
    return largest_by_lane(left);
  }
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

inline __device__ uint2 eight_bytes(const float (&x)[8], float factor) {
  return make_uint2(four_bytes(x[0], x[1], x[2], x[3], factor), four_bytes(x[4], x[5], x[6], x[7], factor));
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

inline __device__ uint2 eight_e4m3(const float (&x)[8], float factor) {
  return make_uint2(four_e4m3(x[0], x[1], x[2], x[3], factor), four_e4m3(x[4], x[5], x[6], x[7], factor));
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

// Tokens as they lie in memory.
struct AsTheyAre {
  template <class T>
  __device__ void operator()(Octet<T>& /*x*/, int /*token*/, int /*channel*/) const {}
};

// The head is one of a batch's query or key heads. norm: what is done to eight channels of a token before all else, by
// all lanes of its row.
template <class T, int Dim, Side side, class Norm = AsTheyAre>
__device__ void quantize_tokens(const SourceCall& source, const Recipe& recipe, const PackedCall& call, int block,
                                int batch, int head, TokenMemory<Dim>& memory, const Norm& norm = {}) {
  constexpr int threads_of_row = Dim / 8, rows = token_threads / threads_of_row, passes = block_tokens / rows;
  static_assert(passes == threads_of_row);  // so that a row's lanes can share out its passes
  constexpr bool is_query = side == Side::query;
  const int heads = is_query ? call.query_heads : call.key_heads;
  const int count = is_query ? call.queries : call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = block * block_tokens;
  const std::int64_t all = padded(is_query ? call.queries : call.keys);
  const std::int64_t tokens_before = (std::int64_t{batch} * heads + head) * all + first;
  const HeadRows<T> source_rows = head_rows<T>(is_query ? source.q : source.k, batch, head, source.dim, Dim);
  const std::int32_t* const kept =
      is_query || source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int row = threadIdx.x / threads_of_row, lane = threadIdx.x % threads_of_row, channel = lane * 8;
  const int own_token = lane * rows + row;  // whose largest magnitude the thread gets from its row's lanes

  Octet<T> x[passes];
  source_rows.load_some(kept, first + row, rows, count, channel, x);
#pragma unroll
  for (int pass = 0; pass < passes; ++pass) norm(x[pass], min(first + row + pass * rows, count - 1), channel);
  if (threadIdx.x < block_tokens) memory.group_amax[threadIdx.x] = 0;

  const bool less_mean = !is_query || recipe.smooth_q == Smoothing::on;
  float largest = 0;
  if constexpr (is_query) {
    float of_passes[passes];
#pragma unroll
    for (int pass = 0; pass < passes; ++pass) of_passes[pass] = x[pass].largest();
    largest = largest_by_lane(of_passes);
    // A query that holds NaN or infinity is a row of zeros to the others of its block.
    const bool broken = !isfinite(largest);
    if (broken) largest = 0;
    memory.broken[own_token] = broken;
    if (__syncthreads_or(broken) != 0) {
#pragma unroll
      for (int pass = 0; pass < passes; ++pass) {
        if (memory.broken[pass * rows + row]) x[pass].clear();
      }
    }
    if (call.lse_shift != nullptr) {
      const int key_head = batch * call.key_heads + head / (call.query_heads / call.key_heads);
      const float* const key_mean = call.k_mean + std::int64_t{key_head} * Dim + channel;
#pragma unroll
      for (int pass = 0; pass < passes; ++pass) {
        double dot = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) dot += static_cast<double>(x[pass][i]) * static_cast<double>(__ldcg(key_mean + i));
        dot = sum_of_lanes<threads_of_row>(dot);
        if (lane == 0) call.lse_shift[tokens_before + pass * rows + row] = static_cast<float>(dot * source.scale);
      }
    }
    if (less_mean) {
      mean_of_block<T, Dim, passes>(x, min(block_tokens, count - first), channel, memory);
      if (threadIdx.x < Dim) call.q_means[tokens_before / block_tokens * Dim + threadIdx.x] = memory.mean[threadIdx.x];
    }
  } else {
    if (threadIdx.x < Dim) {
      const std::int64_t of_head = std::int64_t{batch} * heads + head;
      memory.mean[threadIdx.x] = __ldcg(call.k_mean + of_head * Dim + threadIdx.x);
    }
    __syncthreads();
  }

  float mean[8];
  if (less_mean) {
    float of_passes[passes];
#pragma unroll
    for (int i = 0; i < 8; ++i) mean[i] = memory.mean[channel + i];
#pragma unroll
    for (int pass = 0; pass < passes; ++pass) {
      float most = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) most = fmaxf(most, fabsf(x[pass][i] - mean[i]));
      of_passes[pass] = is_query || isfinite(x[pass].largest()) ? most : NAN;
    }
    largest = largest_by_lane(of_passes);
  }
  const Granularity granularity = is_query ? recipe.q_scales : recipe.k_scales;
  if (first + own_token < count) {
    atomicMax(&memory.group_amax[group_of(granularity, side, own_token)], __float_as_uint(largest));
  }
  // A key that holds NaN or infinity, or leaves fp32 without the mean, spoils its head.
  if (__syncthreads_or(!is_query && !isfinite(largest)) != 0 && threadIdx.x < Dim) {
    call.v_scales[(std::int64_t{batch} * heads + head) * Dim + threadIdx.x] = NAN;
  }

  if (threadIdx.x < block_tokens) {
    const int token = threadIdx.x;
    const bool counts = first + token < count;
    const float levels = recipe.qk == QkFormat::int8 ? 127.0f : 7.0f;
    const float amax = fmaxf(__uint_as_float(memory.group_amax[group_of(granularity, side, token)]), least_amax);
    const float scale = amax / levels;
    // Where the logits' scale is negative, the integers are: scales never are. Padding is zeros.
    const float factor = (is_query && source.scale < 0 ? -levels : levels) / amax;
    memory.factor[token] = counts ? factor : 0.0f;
    if (is_query) {
      const float log2_scale = static_cast<float>(fabs(source.scale) * 1.4426950408889634);
      call.q_scales[tokens_before + token] = !counts ? 0.0f : memory.broken[token] ? NAN : scale * log2_scale;
    } else if (call.key_scales == KeyScales::token) {
      call.k_scales[tokens_before + token] = counts ? scale : 0.0f;
    } else if (token < 4) {
      const float of_group = fmaxf(__uint_as_float(memory.group_amax[token]), least_amax);
      call.k_scales[tokens_before / block_tokens * 4 + token] = of_group / levels;
    }
  }
  __syncthreads();

  const int channels_of_byte = call.integers == IntegerFormat::halves ? 2 : 1;
  std::int8_t* const to = (is_query ? call.q : call.k) + ((tokens_before + row) * Dim + channel) / channels_of_byte;
  // Asked once for all passes: what is taken off, and the format.
  const auto write = [&](auto subtracts, const auto& pack, int channels) {
#pragma unroll
    for (int pass = 0; pass < passes; ++pass) {
      float values[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) values[i] = decltype(subtracts)::value ? x[pass][i] - mean[i] : x[pass][i];
      const auto packed = pack(values, memory.factor[pass * rows + row]);
      *reinterpret_cast<std::remove_const_t<decltype(packed)>*>(to + pass * rows * Dim / channels) = packed;
    }
  };
  const auto write_all = [&](auto subtracts) {
    if (call.integers == IntegerFormat::halves) {
      write(subtracts, eight_halves, 2);
    } else if (call.integers == IntegerFormat::e4m3) {
      write(subtracts, eight_e4m3, 1);
    } else {
      write(subtracts, eight_bytes, 1);
    }
  };
  if (less_mean) {
    write_all(std::true_type{});
  } else {
    write_all(std::false_type{});
  }
}

}  // namespace bitreel::cuda
