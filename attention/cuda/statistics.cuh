// What has to be known of all keys and values of a head before one can be quantized: their means, the largest value of
// each channel, and whether one is NaN or infinite. Parts of the quantization pass (quantize.cuh).
//
// CTAs sum chunks of tokens, then one a head adds its chunks: the order of additions never depends on who comes first.
// Sums are fp64, of four tokens at a time in fp32 where inputs have 16 bits, which is exact unless their exponents lie
// 10 or more apart. That makes means, rounded to fp32, the oracle's bit for bit.
#pragma once

#include "attention/cuda/elements.cuh"
#include "attention/cuda/quantize.cuh"

namespace bitreel::cuda {

inline constexpr int pass_threads = 256;
inline constexpr int tokens_at_once = 4;

template <int Dim>
struct SumMemory {
  double sum[pass_threads / 32][Dim];
  float least[pass_threads / 32][Dim], most[pass_threads / 32][Dim];
};

// One chunk of keys (which = 0) or values (1) of a head.
template <class T, int Dim>
__device__ void sum_chunk(const SourceCall& source, const PackedCall& call, int head, int which, int chunk, int chunks,
                          SumMemory<Dim>& memory) {
  constexpr int threads_of_row = Dim / 8, rows = pass_threads / threads_of_row;
  const int batch = head / call.key_heads, lane = threadIdx.x % 32;
  const int count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = chunk * statistics_chunk, last = min(first + statistics_chunk, count);
  const HeadRows<T> x = head_rows<T>(which == 0 ? source.k : source.v, batch, head % call.key_heads, source.dim, Dim);
  const std::int32_t* const kept = source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int row = threadIdx.x / threads_of_row, channel = threadIdx.x % threads_of_row * 8;

  double sum[8] = {};
  float low[8], high[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    low[i] = INFINITY;
    high[i] = -INFINITY;
  }
  for (int group = first + row; group < last; group += rows * tokens_at_once) {
    Octet<T> raw[tokens_at_once];
#pragma unroll
    for (int j = 0; j < tokens_at_once; ++j) {
      const int token = min(group + j * rows, last - 1);  // beyond the last it again, which is not summed
      x.load(kept == nullptr ? token : kept[token], channel, raw[j]);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float of_group = 0;
#pragma unroll
      for (int j = 0; j < tokens_at_once; ++j) {
        const float value = raw[j][i];
        low[i] = fminf(low[i], value);
        high[i] = fmaxf(high[i], value);
        if (group + j * rows >= last) continue;
        if constexpr (sizeof(T) == 2) {
          of_group = fmaf(value, 0.25f, of_group);  // a quarter: four of bf16's largest fit
        } else {
          sum[i] += static_cast<double>(value);
        }
      }
      if constexpr (sizeof(T) == 2) sum[i] += 4 * static_cast<double>(of_group);
    }
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int step = threads_of_row; step < 32; step *= 2) {  // lanes with the same channels
      sum[i] += __shfl_xor_sync(~0u, sum[i], step);
      low[i] = fminf(low[i], __shfl_xor_sync(~0u, low[i], step));
      high[i] = fmaxf(high[i], __shfl_xor_sync(~0u, high[i], step));
    }
    if (lane < threads_of_row) {
      memory.sum[threadIdx.x / 32][channel + i] = sum[i];
      memory.least[threadIdx.x / 32][channel + i] = low[i];
      memory.most[threadIdx.x / 32][channel + i] = high[i];
    }
  }
  __syncthreads();
  if (threadIdx.x < Dim) {
    const int c = threadIdx.x;
    double total = 0;
    float lowest = INFINITY, highest = -INFINITY;
#pragma unroll
    for (int w = 0; w < pass_threads / 32; ++w) {
      total += memory.sum[w][c];
      lowest = fminf(lowest, memory.least[w][c]);
      highest = fmaxf(highest, memory.most[w][c]);
    }
    const std::int64_t at = (std::int64_t{head} * 2 + which) * chunks + chunk;
    source.sums[at * Dim + c] = total;
    source.extremes[at * 2 * Dim + c] = lowest;
    source.extremes[at * 2 * Dim + Dim + c] = highest;
  }
}

struct Channel {
  float mean;
  float offset;  // what is taken off: the mean when it smooths
  float amax;    // of what is left
  bool finite;
};

// Of keys or values; thread c has channel c's, those beyond Dim nobody's.
template <int Dim>
__device__ Channel add_chunks(const SourceCall& source, int chunks, int head, int which, int count, Smoothing smoothing,
                              SumMemory<Dim>& memory) {
  constexpr int parts = pass_threads / Dim;
  const int c = threadIdx.x % Dim, part = threadIdx.x / Dim;
  const std::int64_t first = (std::int64_t{head} * 2 + which) * chunks;
  double sum = 0;
  float low = INFINITY, high = -INFINITY;
#pragma unroll 4
  for (int chunk = part; chunk < chunks; chunk += parts) {
    const std::int64_t at = first + chunk;
    sum += __ldcg(source.sums + at * Dim + c);
    low = fminf(low, __ldcg(source.extremes + at * 2 * Dim + c));
    high = fmaxf(high, __ldcg(source.extremes + at * 2 * Dim + Dim + c));
  }
  __syncthreads();
  memory.sum[part][c] = sum;
  memory.least[part][c] = low;
  memory.most[part][c] = high;
  __syncthreads();
  if (part != 0 || count == 0) return {0, 0, 0, true};
  for (int p = 1; p < parts; ++p) {
    sum += memory.sum[p][c];
    low = fminf(low, memory.least[p][c]);
    high = fmaxf(high, memory.most[p][c]);
  }
  const float mean = static_cast<float>(sum / static_cast<double>(count));
  const float offset = smoothing == Smoothing::on ? mean : 0.0f;
  // Subtracting and rounding keep order: no value between is farther from zero than these.
  const float farthest_below = low - offset, farthest_above = high - offset;
  return {.mean = mean,
          .offset = offset,
          .amax = fmaxf(fabsf(farthest_below), fabsf(farthest_above)),
          .finite = isfinite(sum) && isfinite(farthest_below) && isfinite(farthest_above)};
}

// What values are divided by, or with bytes what they are multiplied with; and the scale.
inline __device__ float2 divisor_and_scale(float amax, const Recipe& recipe) {
  const float largest = fmaxf(amax, least_amax);
  switch (recipe.pv) {
    case PvFormat::int8:
      return make_float2(127.0f / largest, largest / 127.0f);
    case PvFormat::fp8_two_level:
    case PvFormat::fp8_ones_row:
      return make_float2(e4m3_max / largest, largest / e4m3_max);
    default:
      break;
  }
  int exponent = 0;  // the largest value, times the keys of a block, to (2^14, 2^15]
  const double mantissa = frexp(static_cast<double>(largest) * static_cast<double>(recipe.key_block), &exponent);
  const float power = ldexpf(1.0f, exponent - (mantissa == 0.5 ? 1 : 0) - 15);
  return make_float2(power, power);
}

// k_mean, v_offsets, v_divisors and v_scales of a head whose chunks are summed. v_mean is the mean of the values where
// it is to become exact (values.cuh), what is taken off elsewhere.
template <int Dim>
__device__ void finish_statistics(const SourceCall& source, const Recipe& recipe, const PackedCall& call, int head,
                                  int chunks, SumMemory<Dim>& memory) {
  const int count = call.key_count == nullptr ? call.keys : call.key_count[head / call.key_heads];
  const Channel key = add_chunks<Dim>(source, chunks, head, 0, count, recipe.smooth_k, memory);
  const Channel value = add_chunks<Dim>(source, chunks, head, 1, count, recipe.smooth_v, memory);
  const bool broken = __syncthreads_or(!key.finite || !value.finite) != 0;
  if (threadIdx.x >= Dim) return;
  const std::int64_t at = std::int64_t{head} * Dim + threadIdx.x;
  const float2 divisor = divisor_and_scale(value.amax, recipe);
  call.k_mean[at] = key.offset;
  call.v_mean[at] = source.v_sums != nullptr ? value.mean : value.offset;
  if (source.v_sums != nullptr) source.v_sums[at] = 0;
  source.v_offsets[at] = value.offset;
  source.v_divisors[at] = divisor.x;
  call.v_scales[at] = broken ? NAN : divisor.y;
}

}  // namespace bitreel::cuda
