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
inline constexpr int tokens_at_once = 8;  // that a thread has on their way
inline constexpr int tokens_in_fp32 = 4;

template <int Dim>
struct SumMemory {
  double sum[pass_threads / 32][Dim];
  float least[pass_threads / 32][Dim], most[pass_threads / 32][Dim];
};

// What a thread knows of its eight channels of the tokens that it has seen.
template <class T, int Dim>
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
#pragma unroll
    for (int j = 0; j < Tokens; ++j) {
#pragma unroll
      for (int w = 0; w < words; ++w) {
        low_[w] = Word<T>::smaller(low_[w], x[j].word(w));
        high_[w] = Word<T>::larger(high_[w], x[j].word(w));
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

  // Of all threads of the block, to the chunk's place. which: keys (0) or values (1) of a head.
  __device__ void write(const SourceCall& source, int head, int which, int chunk, int chunks, SumMemory<Dim>& memory) {
    constexpr int threads_of_row = Dim / 8;
    const int channel = threadIdx.x % threads_of_row * 8;
#pragma unroll
    for (int step = threads_of_row; step < 32; step *= 2) {  // lanes with the same channels
#pragma unroll
      for (int w = 0; w < words; ++w) {
        low_[w] = Word<T>::smaller(low_[w], __shfl_xor_sync(~0u, low_[w], step));
        high_[w] = Word<T>::larger(high_[w], __shfl_xor_sync(~0u, high_[w], step));
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) sum_[i] += __shfl_xor_sync(~0u, sum_[i], step);
    }
    if (threadIdx.x % 32 < threads_of_row) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        memory.sum[threadIdx.x / 32][channel + i] = sum_[i];
        constexpr int of_word = Octet<T>::of_word;
        memory.least[threadIdx.x / 32][channel + i] = Word<T>::number(low_[i / of_word], i % of_word);
        memory.most[threadIdx.x / 32][channel + i] = Word<T>::number(high_[i / of_word], i % of_word);
      }
    }
    __syncthreads();
    if (threadIdx.x >= Dim) return;
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

 private:
  static constexpr int words = Octet<T>::word_count;
  double sum_[8] = {};
  unsigned low_[words], high_[words];
};

// One chunk of keys (which = 0) or values (1) of a head.
template <class T, int Dim>
__device__ void sum_chunk(const SourceCall& source, const PackedCall& call, int head, int which, int chunk, int chunks,
                          SumMemory<Dim>& memory) {
  constexpr int threads_of_row = Dim / 8, rows = pass_threads / threads_of_row;
  const int batch = head / call.key_heads;
  const int count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int tokens = chunk_tokens(call), first = chunk * tokens, last = min(first + tokens, count);
  const HeadRows<T> x = head_rows<T>(which == 0 ? source.k : source.v, batch, head % call.key_heads, source.dim, Dim);
  const std::int32_t* const kept = source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int channel = threadIdx.x % threads_of_row * 8;

  ChannelSums<T, Dim> sums;
  for (int token = first + threadIdx.x / threads_of_row; token < last; token += rows * tokens_at_once) {
    Octet<T> raw[tokens_at_once];
    x.load_up_to(kept, token, rows, last, channel, raw);
    float counts[tokens_at_once];  // the last one is read again in place of those behind it
#pragma unroll
    for (int j = 0; j < tokens_at_once; ++j) counts[j] = token + j * rows < last ? 0.25f : 0.0f;
    sums.add(raw, counts);
  }
  sums.write(source, head, which, chunk, chunks, memory);
}

struct Channel {
  float mean;
  float offset;  // what is taken off: the mean when it smooths
  float amax;    // of what is left
  bool finite;
};

inline constexpr int finish_threads = 1024;  // half of them for keys, half for values

template <int Dim>
struct FinishMemory {
  static constexpr int parts = finish_threads / 2 / Dim;
  double sum[2][parts][Dim];
  float least[2][parts][Dim], most[2][parts][Dim];
};

// Of keys or values; thread c of their half has channel c's, those beyond Dim nobody's.
template <int Dim>
__device__ Channel add_chunks(const SourceCall& source, int chunks, int head, int which, int count, Smoothing smoothing,
                              FinishMemory<Dim>& memory) {
  constexpr int parts = FinishMemory<Dim>::parts, chunks_at_once = 4;
  const int c = threadIdx.x % Dim, part = threadIdx.x % (finish_threads / 2) / Dim;
  const std::int64_t first = (std::int64_t{head} * 2 + which) * chunks;
  double sum = 0;
  float low = INFINITY, high = -INFINITY;
  for (int chunk = part; chunk < chunks; chunk += parts * chunks_at_once) {
#pragma unroll
    for (int j = 0; j < chunks_at_once; ++j) {
      if (chunk + j * parts >= chunks) continue;
      const std::int64_t at = first + chunk + j * parts;
      sum += __ldcg(source.sums + at * Dim + c);
      low = fminf(low, __ldcg(source.extremes + at * 2 * Dim + c));
      high = fmaxf(high, __ldcg(source.extremes + at * 2 * Dim + Dim + c));
    }
  }
  memory.sum[which][part][c] = sum;
  memory.least[which][part][c] = low;
  memory.most[which][part][c] = high;
  __syncthreads();
  if (part != 0 || count == 0) return {0, 0, 0, true};
#pragma unroll
  for (int p = 1; p < parts; ++p) {
    sum += memory.sum[which][p][c];
    low = fminf(low, memory.least[which][p][c]);
    high = fmaxf(high, memory.most[which][p][c]);
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
                                  int chunks, FinishMemory<Dim>& memory) {
  const int count = call.key_count == nullptr ? call.keys : call.key_count[head / call.key_heads];
  const int which = threadIdx.x / (finish_threads / 2);
  const Channel channel =
      add_chunks<Dim>(source, chunks, head, which, count, which == 0 ? recipe.smooth_k : recipe.smooth_v, memory);
  const bool broken = __syncthreads_or(!channel.finite) != 0;
  const int c = threadIdx.x % (finish_threads / 2);
  if (c >= Dim) return;
  const std::int64_t at = std::int64_t{head} * Dim + c;
  if (which == 0) {
    call.k_mean[at] = channel.offset;
    return;
  }
  const float2 divisor = divisor_and_scale(channel.amax, recipe);
  call.v_mean[at] = source.v_sums != nullptr ? channel.mean : channel.offset;
  if (source.v_sums != nullptr) source.v_sums[at] = 0;
  source.v_offsets[at] = channel.offset;
  source.v_divisors[at] = divisor.x;
  call.v_scales[at] = broken ? NAN : divisor.y;
}

}  // namespace bitreel::cuda
