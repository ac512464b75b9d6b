// What has to be known of a head's keys and values before one can be quantized: the mean of keys, of all or of some
// (KeyMean), and of all values their mean, the largest of each channel, and whether one is NaN or infinite. Parts of
// the quantization pass (quantize.cuh).
//
// CTAs sum chunks of tokens, then one a head adds its chunks: the order of additions never depends on who comes first.
// Sums are fp64, of four tokens at a time in fp32 where inputs have 16 bits, which is exact unless their exponents lie
// 10 or more apart. That makes means, rounded to fp32, the oracle's bit for bit.
#pragma once

#include "attention/cuda/elements.cuh"
#include "attention/cuda/quantize.cuh"

namespace bitreel::cuda {

inline constexpr int pass_threads = 256;
// That a thread has on their way.
template <class T>
constexpr int tokens_at_once = sizeof(T) == 2 ? 12 : 4;
inline constexpr int tokens_in_fp32 = 4;

enum class Summed { keys, values };

template <int Dim>
struct SumMemory {
  double sum[pass_threads / 32][Dim];
  float least[pass_threads / 32][Dim], most[pass_threads / 32][Dim];
};

// Where a head's chunks of keys or values begin among all sums.
inline __device__ std::int64_t first_chunk(Summed which, int head, int chunks) {
  return (std::int64_t{head} * 2 + static_cast<int>(which)) * chunks;
}

// What a thread knows of its eight channels of the tokens that it has seen: of keys the sum, of values extremes as
// well.
template <class T, int Dim, Summed which>
class ChannelSums {
 public:
  __device__ ChannelSums() {
#pragma unroll
    for (int w = 0; w < words; ++w) {
      low_[w] = Word<T>::of(INFINITY);
      high_[w] = Word<T>::of(-INFINITY);
    }
  }

  // counts: 0.25 for a token that counts, a quarter so that four of bf16's largest fit; 0 for one that others hold too.
  template <int Tokens>
  __device__ void add(const Octet<T> (&x)[Tokens], const float (&counts)[Tokens]) {
    static_assert(Tokens % tokens_in_fp32 == 0);
    if constexpr (which == Summed::values) {
#pragma unroll
      for (int j = 0; j < Tokens; ++j) {
#pragma unroll
        for (int w = 0; w < words; ++w) {
          low_[w] = Word<T>::smaller(low_[w], x[j].word(w));
          high_[w] = Word<T>::larger(high_[w], x[j].word(w));
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int j = 0; j < Tokens; j += tokens_in_fp32) {
        if constexpr (sizeof(T) == 2) {
          float some = 0;
#pragma unroll
          for (int t = j; t < j + tokens_in_fp32; ++t) some = fmaf(x[t][i], counts[t], some);
          sum_[i] += 4 * static_cast<double>(some);
        } else {
#pragma unroll
          for (int t = j; t < j + tokens_in_fp32; ++t) sum_[i] += counts[t] == 0 ? 0.0 : static_cast<double>(x[t][i]);
        }
      }
    }
  }

  // Of all threads of the block, to the place of the head's chunk.
  __device__ void write(const SourceCall& source, int head, int chunk, int chunks, SumMemory<Dim>& memory) {
    constexpr int threads_of_row = Dim / 8;
    const int channel = threadIdx.x % threads_of_row * 8;
#pragma unroll
    for (int step = threads_of_row; step < 32; step *= 2) {  // lanes with the same channels
      if constexpr (which == Summed::values) {
#pragma unroll
        for (int w = 0; w < words; ++w) {
          low_[w] = Word<T>::smaller(low_[w], __shfl_xor_sync(~0u, low_[w], step));
          high_[w] = Word<T>::larger(high_[w], __shfl_xor_sync(~0u, high_[w], step));
        }
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) sum_[i] += __shfl_xor_sync(~0u, sum_[i], step);
    }
    if (threadIdx.x % 32 < threads_of_row) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        memory.sum[threadIdx.x / 32][channel + i] = sum_[i];
        if constexpr (which == Summed::values) {
          constexpr int of_word = Octet<T>::of_word;
          memory.least[threadIdx.x / 32][channel + i] = Word<T>::number(low_[i / of_word], i % of_word);
          memory.most[threadIdx.x / 32][channel + i] = Word<T>::number(high_[i / of_word], i % of_word);
        }
      }
    }
    __syncthreads();
    if (threadIdx.x >= Dim) return;
    const int c = threadIdx.x;
    double total = 0;
#pragma unroll
    for (int w = 0; w < pass_threads / 32; ++w) total += memory.sum[w][c];
    source.sums[(first_chunk(which, head, chunks) + chunk) * Dim + c] = total;
    if constexpr (which == Summed::values) {
      float lowest = INFINITY, highest = -INFINITY;
#pragma unroll
      for (int w = 0; w < pass_threads / 32; ++w) {
        lowest = fminf(lowest, memory.least[w][c]);
        highest = fmaxf(highest, memory.most[w][c]);
      }
      float* const extremes = source.extremes + (std::int64_t{head} * chunks + chunk) * 2 * Dim;
      extremes[c] = lowest;
      extremes[Dim + c] = highest;
    }
  }

 private:
  static constexpr int words = Octet<T>::word_count;
  double sum_[8] = {};
  unsigned low_[words], high_[words];
};

// A chunk of `tokens` keys or values of a head: all of them, or those that KeyMean::sampled takes.
template <class T, int Dim, Summed which>
__device__ void sum_chunk(const SourceCall& source, const PackedCall& call, bool sampled, int tokens, int head,
                          int chunk, int chunks, SumMemory<Dim>& memory) {
  constexpr int threads_of_row = Dim / 8, rows = pass_threads / threads_of_row;
  static_assert(rows % sample_run == 0);  // so that a thread's tokens lie evenly
  const int batch = head / call.key_heads;
  const int count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = chunk * tokens, last = min(first + tokens, count);
  const Rows& of_head = which == Summed::keys ? source.k : source.v;
  const HeadRows<T> x = head_rows<T>(of_head, batch, head % call.key_heads, source.dim, Dim);
  const std::int32_t* const kept = source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int row = threadIdx.x / threads_of_row, channel = threadIdx.x % threads_of_row * 8;
  const int own = first + (sampled ? row / sample_run * sample_period + row % sample_run : row);
  const int step = sampled ? rows * (sample_period / sample_run) : rows;

  ChannelSums<T, Dim, which> sums;
  constexpr int at_once = tokens_at_once<T>;
  for (int token = own; token < last; token += step * at_once) {
    Octet<T> raw[at_once];
    x.load_up_to(kept, token, step, last, channel, raw);
    float counts[at_once];  // the last one is read again in place of those behind it
#pragma unroll
    for (int j = 0; j < at_once; ++j) counts[j] = token + j * step < last ? 0.25f : 0.0f;
    sums.add(raw, counts);
  }
  sums.write(source, head, chunk, chunks, memory);
}

inline constexpr int finish_threads = 1024;  // half of them for keys, half for values

template <int Dim>
struct FinishMemory {
  static constexpr int parts = finish_threads / 2 / Dim;
  double sum[2][parts][Dim];
  float least[parts][Dim], most[parts][Dim];
};

// Of a channel of keys or values; of keys without extremes.
struct ChannelTotal {
  double sum = 0;
  float low = INFINITY, high = -INFINITY;
};

// Of the `count` chunks of keys or values, of `chunks` that there is room for, those that fall to a thread: its part of
// the total of its channel, thread c's of channel c % Dim in their half. To `memory` as well, for add_parts.
template <int Dim, Summed which>
__device__ void add_chunks(const SourceCall& source, int chunks, int count, int head, ChannelTotal& total,
                           FinishMemory<Dim>& memory) {
  constexpr int parts = FinishMemory<Dim>::parts, chunks_at_once = 4, half = static_cast<int>(which);
  const int c = threadIdx.x % Dim, part = threadIdx.x % (finish_threads / 2) / Dim;
  const double* const sums = source.sums + first_chunk(which, head, chunks) * Dim + c;
  const float* const extremes = source.extremes + std::int64_t{head} * chunks * 2 * Dim + c;
  for (int chunk = part; chunk < count; chunk += parts * chunks_at_once) {
#pragma unroll
    for (int j = 0; j < chunks_at_once; ++j) {
      const std::int64_t at = chunk + j * parts;
      if (at >= count) continue;
      total.sum += __ldcg(sums + at * Dim);
      if constexpr (which == Summed::values) {
        total.low = fminf(total.low, __ldcg(extremes + at * 2 * Dim));
        total.high = fmaxf(total.high, __ldcg(extremes + at * 2 * Dim + Dim));
      }
    }
  }
  memory.sum[half][part][c] = total.sum;
  if constexpr (which == Summed::values) {
    memory.least[part][c] = total.low;
    memory.most[part][c] = total.high;
  }
}

// The other threads' parts, once all are in `memory`: the whole total, in the first Dim threads of their half.
template <int Dim, Summed which>
__device__ void add_parts(ChannelTotal& total, const FinishMemory<Dim>& memory) {
  const int c = threadIdx.x % Dim;
#pragma unroll
  for (int p = 1; p < FinishMemory<Dim>::parts; ++p) {
    total.sum += memory.sum[static_cast<int>(which)][p][c];
    if constexpr (which == Summed::values) {
      total.low = fminf(total.low, memory.least[p][c]);
      total.high = fmaxf(total.high, memory.most[p][c]);
    }
  }
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

// k_mean, v_offsets, v_divisors and v_scales of a head whose chunks are summed: `key_chunks` of keys, all of values.
// v_mean is the mean of the values where it is to become exact (values.cuh), what is taken off elsewhere.
template <int Dim>
__device__ void finish_statistics(const SourceCall& source, const Recipe& recipe, const PackedCall& call, int head,
                                  int chunks, int key_chunks, FinishMemory<Dim>& memory) {
  const int count = call.key_count == nullptr ? call.keys : call.key_count[head / call.key_heads];
  const bool of_keys = threadIdx.x < finish_threads / 2;
  ChannelTotal total;
  if (of_keys) {
    add_chunks<Dim, Summed::keys>(source, chunks, key_chunks, head, total, memory);
  } else {
    add_chunks<Dim, Summed::values>(source, chunks, chunks, head, total, memory);
  }
  __syncthreads();
  const int c = threadIdx.x % (finish_threads / 2);
  const bool owns = c < Dim;
  const std::int64_t at = std::int64_t{head} * Dim + c;
  if (owns && of_keys) {
    add_parts<Dim, Summed::keys>(total, memory);
    const int summed = keys_of_mean(recipe, count);
    const bool smooths = recipe.smooth_k == Smoothing::on && count > 0;
    call.k_mean[at] = smooths ? static_cast<float>(total.sum / static_cast<double>(summed)) : 0.0f;
  }
  float mean = 0, offset = 0, amax = 0;
  bool finite = true;
  if (owns && !of_keys && count > 0) {
    add_parts<Dim, Summed::values>(total, memory);
    mean = static_cast<float>(total.sum / static_cast<double>(count));
    offset = recipe.smooth_v == Smoothing::on ? mean : 0.0f;
    // Subtracting and rounding keep order: no value between is farther from zero than these.
    const float farthest_below = total.low - offset, farthest_above = total.high - offset;
    amax = fmaxf(fabsf(farthest_below), fabsf(farthest_above));
    finite = isfinite(total.sum) && isfinite(farthest_below) && isfinite(farthest_above);
  }
  const bool broken = __syncthreads_or(!finite) != 0;
  if (!owns || of_keys) return;
  const float2 divisor = divisor_and_scale(amax, recipe);
  call.v_mean[at] = source.v_sums != nullptr ? mean : offset;
  if (source.v_sums != nullptr) source.v_sums[at] = 0;
  source.v_offsets[at] = offset;
  source.v_divisors[at] = divisor.x;
  call.v_scales[at] = broken ? NAN : divisor.y;
}

}  // namespace bitreel::cuda
