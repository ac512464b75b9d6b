// What has to be known of a head's keys and values before one can be quantized: the mean of keys, of all or of some
// (KeyMean), and of values the largest of each channel, of some (ValueScale) or of all. Of all their mean as well, and
// whether one is NaN or infinite, which is seen later otherwise (values.cuh). Parts of the quantization pass
// (quantize.cuh).
//
// CTAs sum chunks of tokens, then one a head adds its chunks: the order of additions never depends on who comes first.
// Sums are fp64, of four tokens at a time in fp32 where inputs have 16 bits, which is exact unless their exponents lie
// 10 or more apart. That makes means, rounded to fp32, the oracle's bit for bit.
#pragma once

#include <limits>

#include "attention/cuda/elements.cuh"
#include "attention/cuda/quantize.cuh"

namespace bitreel::cuda {

inline constexpr int pass_threads = 256;
// That a thread has on their way.
template <class T>
constexpr int tokens_at_once = sizeof(T) == 2 ? 12 : 4;
inline constexpr int tokens_in_fp32 = 4;

enum class Summed { keys, values, sampled_values };

template <int Dim>
struct SumMemory {
  double sum[pass_threads / 32][Dim];
  float least[pass_threads / 32][Dim], most[pass_threads / 32][Dim];
};

// Where a head's chunks of keys or all values begin among all sums.
inline __device__ std::int64_t first_chunk(Summed which, int head, int chunks) {
  return (std::int64_t{head} * 2 + static_cast<int>(which)) * chunks;
}

// What a thread knows of its eight channels of the tokens that it has seen: of keys the sum, of values extremes as
// well, of some values extremes alone.
template <class T, int Dim, Summed which>
class ChannelSums {
  static constexpr bool sums = which != Summed::sampled_values, extremes = which != Summed::keys;

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
    if constexpr (extremes) {
#pragma unroll
      for (int j = 0; j < Tokens; ++j) {
#pragma unroll
        for (int w = 0; w < words; ++w) {
          low_[w] = Word<T>::smaller(low_[w], x[j].word(w));
          high_[w] = Word<T>::larger(high_[w], x[j].word(w));
        }
      }
    }
    if constexpr (sums) {
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
  }

  // Of all threads of the block, to the place of the head's chunk.
  __device__ void write(const SourceCall& source, int head, int chunk, int chunks, SumMemory<Dim>& memory) {
    constexpr int threads_of_row = Dim / 8;
    const int channel = threadIdx.x % threads_of_row * 8;
#pragma unroll
    for (int step = threads_of_row; step < 32; step *= 2) {  // lanes with the same channels
      if constexpr (extremes) {
#pragma unroll
        for (int w = 0; w < words; ++w) {
          low_[w] = Word<T>::smaller(low_[w], __shfl_xor_sync(~0u, low_[w], step));
          high_[w] = Word<T>::larger(high_[w], __shfl_xor_sync(~0u, high_[w], step));
        }
      }
      if constexpr (sums) {
#pragma unroll
        for (int i = 0; i < 8; ++i) sum_[i] += __shfl_xor_sync(~0u, sum_[i], step);
      }
    }
    if (threadIdx.x % 32 < threads_of_row) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        if constexpr (sums) memory.sum[threadIdx.x / 32][channel + i] = sum_[i];
        if constexpr (extremes) {
          constexpr int of_word = Octet<T>::of_word;
          memory.least[threadIdx.x / 32][channel + i] = Word<T>::number(low_[i / of_word], i % of_word);
          memory.most[threadIdx.x / 32][channel + i] = Word<T>::number(high_[i / of_word], i % of_word);
        }
      }
    }
    __syncthreads();
    if (threadIdx.x >= Dim) return;
    const int c = threadIdx.x;
    if constexpr (sums) {
      double total = 0;
#pragma unroll
      for (int w = 0; w < pass_threads / 32; ++w) total += memory.sum[w][c];
      source.sums[(first_chunk(which, head, chunks) + chunk) * Dim + c] = total;
    }
    if constexpr (extremes) {
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

// One of a head's chunks of keys or values.
template <class T, int Dim, Summed which>
__device__ void sum_chunk(const SourceCall& source, const PackedCall& call, const Chunks& chunks, int places, int head,
                          int chunk, SumMemory<Dim>& memory) {
  constexpr int threads_of_row = Dim / 8, rows = pass_threads / threads_of_row;
  static_assert(rows % sample_run == 0);  // so that a thread's tokens lie evenly
  const int batch = head / call.key_heads;
  const int count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = chunk * chunks.tokens, last = min(first + chunks.tokens, count), run = chunks.run;
  const Rows& of_head = which == Summed::keys ? source.k : source.v;
  const HeadRows<T> x = head_rows<T>(of_head, batch, head % call.key_heads, source.dim, Dim);
  const std::int32_t* const kept = source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int row = threadIdx.x / threads_of_row, channel = threadIdx.x % threads_of_row * 8;
  const int own = first + row / run * sample_period + row % run;
  const int step = rows * (sample_period / run);

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
  sums.write(source, head, chunk, places, memory);
}

inline constexpr int finish_threads = 512;

template <int Dim>
struct FinishMemory {
  static constexpr int parts = finish_threads / Dim;
  double sum[2][parts][Dim];
  float least[parts][Dim], most[parts][Dim];
};

// Of a channel of keys or values; of keys without extremes, of some values without a sum.
struct ChannelTotal {
  double sum = 0;
  float low = INFINITY, high = -INFINITY;
};

// Of `count` chunks of keys or values, those that fall to a thread: its part of the total of channel threadIdx.x % Dim.
// To `memory` as well, for add_parts.
template <Summed which, int Dim>
__device__ ChannelTotal add_chunks(const SourceCall& source, int places, int count, int head,
                                   FinishMemory<Dim>& memory) {
  constexpr int parts = FinishMemory<Dim>::parts, chunks_at_once = 4;
  const int c = threadIdx.x % Dim, part = threadIdx.x / Dim;
  const double* const sums = source.sums + first_chunk(which, head, places) * Dim + c;
  const float* const extremes = source.extremes + std::int64_t{head} * places * 2 * Dim + c;
  ChannelTotal total;
  for (int chunk = part; chunk < count; chunk += parts * chunks_at_once) {
#pragma unroll
    for (int j = 0; j < chunks_at_once; ++j) {
      const std::int64_t at = chunk + j * parts;
      if (at >= count) continue;
      if constexpr (which != Summed::sampled_values) total.sum += __ldcg(sums + at * Dim);
      if constexpr (which != Summed::keys) {
        total.low = fminf(total.low, __ldcg(extremes + at * 2 * Dim));
        total.high = fmaxf(total.high, __ldcg(extremes + at * 2 * Dim + Dim));
      }
    }
  }
  memory.sum[which == Summed::keys ? 0 : 1][part][c] = total.sum;
  if constexpr (which != Summed::keys) {
    memory.least[part][c] = total.low;
    memory.most[part][c] = total.high;
  }
  return total;
}

// The other threads' parts of channel threadIdx.x, once all are in `memory`.
template <int Dim>
__device__ void add_parts(ChannelTotal& of_keys, ChannelTotal& of_values, const FinishMemory<Dim>& memory) {
#pragma unroll
  for (int p = 1; p < FinishMemory<Dim>::parts; ++p) {
    of_keys.sum += memory.sum[0][p][threadIdx.x];
    of_values.sum += memory.sum[1][p][threadIdx.x];
    of_values.low = fminf(of_values.low, memory.least[p][threadIdx.x]);
    of_values.high = fmaxf(of_values.high, memory.most[p][threadIdx.x]);
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

// Of a channel of values, the largest magnitude that its scale is of. Subtracting and rounding keep order: no value
// between is farther from zero than these.
inline __device__ float amax_of(const ChannelTotal& total, float offset) {
  return fmaxf(fabsf(total.low - offset), fabsf(total.high - offset));
}

// Where the second v_sums are, of heads whose values are rounded again.
inline __device__ std::int64_t sums_of_heads(const PackedCall& call) {
  return std::int64_t{call.batch} * call.key_heads * call.dim;
}

// ValueScale::sampled's, as long as no value is larger.
inline __device__ float amax_with_room(float of_some) {
  return fminf(fmaxf(of_some * sample_room, least_amax), std::numeric_limits<float>::max());
}

// k_mean, v_offsets, v_divisors, v_scales, and what values add to (v_sums, v_beyond), of a head whose
// chunks are summed. v_mean is the mean of the values where that is known and to become exact (values.cuh), what is
// taken off elsewhere.
template <int Dim>
__device__ void finish_statistics(const SourceCall& source, const Recipe& recipe, const PackedCall& call,
                                  const SummedChunks& chunks, int head, FinishMemory<Dim>& memory) {
  const int count = call.key_count == nullptr ? call.keys : call.key_count[head / call.key_heads];
  const bool sampled = has_sampled_scale(recipe);
  ChannelTotal of_keys = add_chunks<Summed::keys>(source, chunks.places, chunks.of_keys.count, head, memory), of_values;
  if (sampled) {
    of_values = add_chunks<Summed::sampled_values>(source, chunks.places, chunks.of_values.count, head, memory);
  } else {
    of_values = add_chunks<Summed::values>(source, chunks.places, chunks.of_values.count, head, memory);
  }
  __syncthreads();
  const bool owns = threadIdx.x < Dim;
  const std::int64_t at = std::int64_t{head} * Dim + threadIdx.x;
  float mean = 0, offset = 0, amax = 0;
  bool finite = true;
  if (owns) {
    add_parts(of_keys, of_values, memory);
    const bool smooths = recipe.smooth_k == Smoothing::on && count > 0;
    const auto summed = static_cast<double>(keys_of_mean(recipe, count));
    call.k_mean[at] = smooths ? static_cast<float>(of_keys.sum / summed) : 0.0f;
  }
  if (owns && count > 0) {
    if (sampled) {
      amax = amax_with_room(amax_of(of_values, 0));
    } else {
      mean = static_cast<float>(of_values.sum / static_cast<double>(count));
      offset = recipe.smooth_v == Smoothing::on ? mean : 0.0f;
      amax = amax_of(of_values, offset);
      finite = isfinite(of_values.sum) && isfinite(amax);
    }
  }
  const bool broken = __syncthreads_or(!finite) != 0;
  if (!owns) return;
  const float2 divisor = divisor_and_scale(amax, recipe);
  call.v_mean[at] = source.v_sums != nullptr ? mean : offset;
  if (source.v_sums != nullptr) source.v_sums[at] = 0;
  source.v_offsets[at] = offset;
  source.v_divisors[at] = divisor.x;
  call.v_scales[at] = broken ? NAN : divisor.y;
  if (!sampled) return;
  source.v_most[at] = amax;
  source.v_beyond[at] = 0;
  if (source.v_sums != nullptr) source.v_sums[sums_of_heads(call) + at] = 0;
}

}  // namespace bitreel::cuda
