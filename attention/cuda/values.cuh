// From values to bytes or fp16 of V^T, 128 keys of a head at a time, in the layout of packed.h. Part of the
// quantization pass (quantize.cuh).
//
// A thread reads the four keys whose bytes make one word of a channel's row, for eight channels; rows are gathered in
// shared memory and written whole.
//
// With a sampled scale this is the first time that most values are seen: sums of blocks of them go to v_block_sums, and
// the largest of those that the scale is not for to v_beyond. A head that has any is rounded once more, by scales of
// all values.
#pragma once

#include <cuda_fp8.h>

#include "attention/cuda/tokens.cuh"

namespace bitreel::cuda {

// Which of the 128 keys lies at an index of V's row, counted in elements of so many bytes.
template <int Bytes>
__device__ int key_at(int index) {
  if (Bytes != 1) return index;
  const int quad = index / 4, j = index % 4;
  return quad / 4 * 16 + quad % 4 * 2 + j % 2 + j / 2 * 8;  // 2t, 2t + 1, 8 + 2t, 9 + 2t of the sixteen
}

inline __device__ unsigned word_of_bytes(float a, float b, float c, float d, ValueFormat format, float factor) {
  if (format == ValueFormat::int8) return four_bytes(a, b, c, d, factor);
  const unsigned low = __nv_cvt_float2_to_fp8x2(make_float2(a * factor, b * factor), __NV_SATFINITE, __NV_E4M3);
  const unsigned high = __nv_cvt_float2_to_fp8x2(make_float2(c * factor, d * factor), __NV_SATFINITE, __NV_E4M3);
  return low | high << 16;
}

inline __device__ unsigned word_of_fp16(float a, float b, ValueFormat format, float divisor) {
  __half2 both;
  if (format == ValueFormat::fp16) {
    both = __floats2half2_rn(a / divisor, b / divisor);
  } else {  // fp16 holds every number of e4m3
    const __nv_fp8x2_storage_t rounded =
        __nv_cvt_float2_to_fp8x2(make_float2(a * divisor, b * divisor), __NV_SATFINITE, __NV_E4M3);
    both = __half2(__nv_cvt_fp8x2_to_halfraw2(rounded, __NV_E4M3));
  }
  return *reinterpret_cast<unsigned*>(&both);
}

// The sum of a word's numbers, exact. Of bytes in fp32: e4m3 has 18 bits, so that 64 of them can be added; of halves in
// units of units_of_one.
inline __device__ float sum_of_bytes(unsigned word, ValueFormat format) {
  if (format == ValueFormat::int8) return static_cast<float>(__dp4a(static_cast<int>(word), 0x01010101, 0));
  const float2 low = __half22float2(__half2(__nv_cvt_fp8x2_to_halfraw2(word & 0xffffu, __NV_E4M3)));
  const float2 high = __half22float2(__half2(__nv_cvt_fp8x2_to_halfraw2(word >> 16, __NV_E4M3)));
  return (low.x + low.y) + (high.x + high.y);
}
inline __device__ long long sum_of_halves(unsigned word, ValueFormat format) {
  const float2 both = __half22float2(*reinterpret_cast<const __half2*>(&word));
  const double units = static_cast<double>(units_of_one(format));
  return __double2ll_rn((static_cast<double>(both.x) + static_cast<double>(both.y)) * units);
}

// In every element of a word.
inline __device__ unsigned ones_of(ValueFormat format) {
  if (format == ValueFormat::int8) return 0x01010101u;
  return format == ValueFormat::e4m3 ? 0x38383838u : 0x3c003c00u;
}

template <int Dim, int Bytes>
struct ValueMemory {
  static constexpr int words = block_tokens * Bytes / 4;
  // Of a block of tokens; 29 bits of bytes' units, 46 of fp16's.
  using Sum = std::conditional_t<Bytes == 1, int, unsigned long long>;
  uint4 transposed[Dim][words / 4];
  Sum sums[Dim];
  double block_sums[token_threads / 32][Dim];
  float divisors[Dim];  // of values that are rounded again

  // Where a channel's word lies: threads that write together, of eight channels each, are then in different banks.
  __device__ unsigned& word(int channel, int at) {
    return reinterpret_cast<unsigned*>(transposed[channel])[at ^ channel / 8 % 8 * 4];
  }
  __device__ const uint4& four_words(int channel, int at) const { return transposed[channel][at ^ channel / 8 % 8]; }
};

// Adds a lane's sums of eight channels to those of the lanes of its warp that have the same channels, and shares out
// the results: a lane is left with sums[0] to sums[channels_left - 1], of its channels from `first` on.
template <int Dim>
struct SumsOfLanes {
  static constexpr int channels_left = 8 / (32 / (Dim / 8));
  int first = 0;

  __device__ explicit SumsOfLanes(double (&sums)[8]) {
    int left = 8;
#pragma unroll
    for (int step = 16; step >= Dim / 8; step /= 2) {
      left /= 2;
      const bool upper = (threadIdx.x & step) != 0;
      if (upper) first += left;
#pragma unroll
      for (int i = 0; i < left; ++i) {
        const double kept = upper ? sums[i + left] : sums[i];
        sums[i] = kept + __shfl_xor_sync(~0u, upper ? sums[i] : sums[i + left], step);
      }
    }
  }
};

// What a thread has seen of its eight channels of values as they are.
template <class T>
class SeenValues {
 public:
  // Tokens that don't count are zeros.
  __device__ void add(const Octet<T> (&x)[4]) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int w = 0; w < words; ++w) most_[w] = larger(most_[w], x[j].word(w));
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) sum_[i] += sum_of_four(x, i);
  }

  // The sums of each warp's threads, for total_of().
  template <int Dim, int Warps>
  __device__ void write_sums(double (&memory)[Warps][Dim]) {
    const SumsOfLanes<Dim> of_lanes(sum_);
    const int channel = threadIdx.x % (Dim / 8) * 8 + of_lanes.first;
#pragma unroll
    for (int i = 0; i < of_lanes.channels_left; ++i) memory[threadIdx.x / 32][channel + i] = sum_[i];
  }
  template <int Dim, int Warps>
  static __device__ double total_of(const double (&memory)[Warps][Dim]) {
    double total = 0;
#pragma unroll
    for (int w = 0; w < Warps; ++w) total += memory[w][threadIdx.x];
    return total;
  }
  // To `beyond` of the thread's first channel on, magnitudes that may be more than `factors` are for: all of those that
  // are, and those that are less by up to 2^-22 of them.
  __device__ void write_beyond(const Octet<float>& factors, unsigned* beyond) const {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float magnitude = Word<T>::number(most_[i / Octet<T>::of_word], i % Octet<T>::of_word);
      if (!(magnitude * factors[i] < e4m3_max * (1 - 0x1p-22f))) atomicMax(beyond + i, __float_as_uint(magnitude));
    }
  }

 private:
  static constexpr int words = Octet<T>::word_count;
  // NaN is more than any.
  static __device__ unsigned larger(unsigned magnitudes, unsigned numbers) {
    if constexpr (sizeof(T) == 2) return __vmaxu2(magnitudes, numbers & 0x7fff7fffu);
    return max(magnitudes, numbers & 0x7fffffffu);
  }
  // Exact as ChannelSums' are.
  static __device__ double sum_of_four(const Octet<T> (&x)[4], int i) {
    if constexpr (sizeof(T) == 4) {
      return (static_cast<double>(x[0][i]) + static_cast<double>(x[1][i])) +
             (static_cast<double>(x[2][i]) + static_cast<double>(x[3][i]));
    }
    float quarters = 0;  // so that four of bf16's largest fit
#pragma unroll
    for (int j = 0; j < 4; ++j) quarters = fmaf(x[j][i], 0.25f, quarters);
    return 4 * static_cast<double>(quarters);
  }

  double sum_[8] = {};
  unsigned most_[words] = {};
};

// Which values: of scales of all; of sampled scales, seen for the first time; of sampled scales that turned out too
// small, by memory.divisors.
enum class Values { known, sampled, again };

// The head is one of a batch's key heads.
template <class T, int Dim, int Bytes, Values which>
__device__ void quantize_values(const SourceCall& source, const PackedCall& call, int block, int batch, int of_batch,
                                ValueMemory<Dim, Bytes>& memory) {
  constexpr bool sampled = which != Values::known;
  constexpr int threads_of_row = Dim / 8, quads = block_tokens / 4, quads_at_once = token_threads / threads_of_row;
  // Of the registers that the usual call leaves: two quads at once, and sums of all of a thread's. Others would spill.
  constexpr bool roomy = Bytes == 1 && sizeof(T) == 2;
  constexpr int quads_loaded = roomy ? 2 : 1;
  constexpr int words = ValueMemory<Dim, Bytes>::words, words_of_quad = Bytes;
  static_assert(quads % (quads_at_once * quads_loaded) == 0);
  const std::int64_t head = std::int64_t{batch} * call.key_heads + of_batch;
  const int count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = block * block_tokens;
  const HeadRows<T> rows = head_rows<T>(source.v, batch, of_batch, source.dim, Dim);
  const std::int32_t* const kept = source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int channel = threadIdx.x % threads_of_row * 8;

  Octet<float> offset, factor;
  if constexpr (!sampled) offset.load(source.v_offsets + head * Dim + channel);
  factor.load(which == Values::again ? memory.divisors + channel : source.v_divisors + head * Dim + channel);
  const bool sums = source.v_sums != nullptr;
  if (sums) {
    if (threadIdx.x < Dim) memory.sums[threadIdx.x] = 0;
    __syncthreads();
  }

  using Sum = typename ValueMemory<Dim, Bytes>::Sum;
  [[maybe_unused]] float sum[8] = {};
  [[maybe_unused]] SeenValues<T> seen;
  const auto take = [&](auto format_constant) {
    constexpr ValueFormat format = decltype(format_constant)::value;
#pragma unroll(roomy ? quads : 1)
    for (int group = 0; group < quads; group += quads_at_once * quads_loaded) {
      Octet<T> x[quads_loaded][4];
      unsigned counts[quads_loaded][words_of_quad];  // ones in the place of numbers of keys that count
#pragma unroll
      for (int q = 0; q < quads_loaded; ++q) {
        const int quad = group + q * quads_at_once + threadIdx.x / threads_of_row;
        const int first_key = first + key_at<Bytes>(quad * 4);  // the others are as far from it in every quad
#pragma unroll
        for (unsigned& word : counts[q]) word = 0;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          constexpr unsigned ones = Bytes == 1 ? 0xffu : 0xffffu;
          if (first_key + key_at<Bytes>(j) < count) counts[q][j * Bytes / 4] |= ones << j * Bytes % 4 * 8;
        }
        if (rows.aligned && kept == nullptr) {
          const T* const from = rows.data + first_key * rows.stride + channel;
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            if (first_key + key_at<Bytes>(j) < count) {
              x[q][j].load(from + key_at<Bytes>(j) * rows.stride);
            } else {
              x[q][j].clear();
            }
          }
        } else {
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            const int key = first_key + key_at<Bytes>(j);
            if (key < count) {
              rows.load(kept == nullptr ? key : kept[key], channel, x[q][j]);
            } else {
              x[q][j].clear();
            }
          }
        }
      }
#pragma unroll
      for (int q = 0; q < quads_loaded; ++q) {
        const int quad = group + q * quads_at_once + threadIdx.x / threads_of_row;
        if constexpr (sampled) seen.add(x[q]);
        unsigned packed[8][words_of_quad];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          float v[4];
#pragma unroll
          for (int j = 0; j < 4; ++j) v[j] = sampled ? x[q][j][i] : x[q][j][i] - offset[i];
          if constexpr (Bytes == 1) {
            packed[i][0] = word_of_bytes(v[0], v[1], v[2], v[3], format, factor[i]);
          } else {
            packed[i][0] = word_of_fp16(v[0], v[1], format, factor[i]);
            packed[i][1] = word_of_fp16(v[2], v[3], format, factor[i]);
          }
#pragma unroll
          for (int w = 0; w < words_of_quad; ++w) {
            packed[i][w] &= counts[q][w];
            memory.word(channel + i, quad * words_of_quad + w) = packed[i][w];
          }
          if (roomy || !sums) continue;
          if constexpr (Bytes == 1) {
            const float of_quad = sum_of_bytes(packed[i][0], format) * static_cast<float>(units_of_one(format));
            atomicAdd(&memory.sums[channel + i], static_cast<Sum>(of_quad));
          } else {
            const long long of_quad = sum_of_halves(packed[i][0], format) + sum_of_halves(packed[i][1], format);
            atomicAdd(&memory.sums[channel + i], static_cast<Sum>(of_quad));
          }
        }
        if constexpr (roomy) {
          if (!sums) continue;
#pragma unroll
          for (int i = 0; i < 8; ++i) sum[i] += sum_of_bytes(packed[i][0], format);
        }
      }
    }
  };
  if constexpr (sampled) {
    constexpr ValueFormat format = Bytes == 1 ? ValueFormat::e4m3 : ValueFormat::e4m3_in_fp16;
    take(std::integral_constant<ValueFormat, format>{});
  } else if constexpr (Bytes == 1) {
    if (call.values == ValueFormat::int8) {
      take(std::integral_constant<ValueFormat, ValueFormat::int8>{});
    } else {
      take(std::integral_constant<ValueFormat, ValueFormat::e4m3>{});
    }
  } else {
    if (call.values == ValueFormat::fp16) {
      take(std::integral_constant<ValueFormat, ValueFormat::fp16>{});
    } else {
      take(std::integral_constant<ValueFormat, ValueFormat::e4m3_in_fp16>{});
    }
  }
  if (roomy && sums) {
    const auto units = static_cast<float>(units_of_one(call.values));
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int step = threads_of_row; step < 32; step *= 2) sum[i] += __shfl_xor_sync(~0u, sum[i], step);
      if (threadIdx.x % 32 < threads_of_row) atomicAdd(&memory.sums[channel + i], static_cast<Sum>(sum[i] * units));
    }
  }
  if constexpr (sampled) {
    seen.write_beyond(factor, source.v_beyond + head * Dim + channel);
    if (sums) seen.write_sums(memory.block_sums);
  }
  __syncthreads();
  if (sums && threadIdx.x < Dim) {
    const std::int64_t at = head * Dim + threadIdx.x + (which == Values::again ? sums_of_heads(call) : 0);
    atomicAdd(reinterpret_cast<unsigned long long*>(source.v_sums) + at,
              static_cast<unsigned long long>(static_cast<std::int64_t>(memory.sums[threadIdx.x])));
    if constexpr (sampled) {
      const std::int64_t blocks = padded(call.keys) / block_tokens;
      source.v_block_sums[(head * blocks + block) * Dim + threadIdx.x] = seen.total_of(memory.block_sums);
    }
  }

  const std::int64_t row_words = padded(call.keys) * Bytes / 4;
  unsigned* const out =
      static_cast<unsigned*>(call.v) + head * (Dim + extra_rows) * row_words + std::int64_t{block} * words;
  // 16 bytes at a time, of a row's 128 or 256.
  constexpr int fours = words / 4, rows_at_once = token_threads / fours;
  const int row = threadIdx.x / fours, four = threadIdx.x % fours;
  auto* to = reinterpret_cast<uint4*>(out + row * row_words) + four;
#pragma unroll
  for (int c = 0; c < Dim; c += rows_at_once, to += rows_at_once * row_words / 4)
    *to = memory.four_words(row + c, four);
  for (int i = threadIdx.x; i < extra_rows * words; i += token_threads) {
    unsigned value = 0;
    if (i < words) {
      constexpr int of_word = 4 / Bytes;
#pragma unroll
      for (int j = 0; j < of_word; ++j) {
        const unsigned mask = (Bytes == 1 ? 0xffu : 0xffffu) << (8 * Bytes * j);
        if (first + key_at<Bytes>(i * of_word + j) < count) value |= ones_of(call.values) & mask;
      }
    }
    out[(Dim + i / words) * row_words + i % words] = value;
  }
}

// Whether values of the head are beyond what their first scales are for; asked by all threads of a block. Floats
// without a sign compare as their bits do.
template <int Dim>
__device__ bool any_beyond(const SourceCall& source, std::int64_t head) {
  const std::int64_t at = head * Dim + threadIdx.x;
  return __syncthreads_or(threadIdx.x < Dim && source.v_beyond[at] > __float_as_uint(source.v_most[at])) != 0;
}

// v_scales of all values of the head, and what these are to be multiplied with, into memory.divisors. NaN where one is
// not finite, and false: there is nothing to be rounded again. Scales only grow, and a key may make them NaN meanwhile:
// their bits compare as unsigned numbers.
template <int Dim, int Bytes>
__device__ bool widen_scales(const SourceCall& source, const Recipe& recipe, const PackedCall& call, std::int64_t head,
                             bool writes, ValueMemory<Dim, Bytes>& memory) {
  const std::int64_t at = head * Dim + threadIdx.x;
  const bool owns = threadIdx.x < Dim;
  const float beyond = owns ? __uint_as_float(source.v_beyond[at]) : 0.0f;
  const bool broken = __syncthreads_or(!isfinite(beyond)) != 0;
  if (owns) {
    const float2 divisor = divisor_and_scale(fmaxf(beyond, source.v_most[at]), recipe);
    memory.divisors[threadIdx.x] = divisor.x;
    if (writes) atomicMax(reinterpret_cast<unsigned*>(call.v_scales) + at, __float_as_uint(broken ? NAN : divisor.y));
  }
  __syncthreads();
  return !broken;
}

// mean(v) of a thread's channel, of those in v_block_sums; in the first Dim threads.
template <int Dim>
__device__ float mean_of_blocks(const SourceCall& source, const PackedCall& call, std::int64_t head, int count,
                                double (&memory)[token_threads / 32][Dim]) {
  constexpr int parts = token_threads / Dim;
  const int blocks = padded(call.keys) / block_tokens, c = threadIdx.x % Dim, part = threadIdx.x / Dim;
  const double* const sums = source.v_block_sums + head * blocks * Dim + c;
  double sum = 0;
#pragma unroll 4
  for (int block = part; block < blocks; block += parts) sum += sums[block * Dim];
  memory[part][c] = sum;
  __syncthreads();
#pragma unroll
  for (int p = 1; p < parts; ++p) sum += memory[p][c];
  return static_cast<float>(sum / static_cast<double>(count));
}

// What outputs get back of a head: mean(v), which v_mean is so far unless blocks' sums are to be added, less the scale
// times the mean of the rounded values.
template <int Dim>
__device__ void finish_mean_of_values(const SourceCall& source, const Recipe& recipe, const PackedCall& call,
                                      std::int64_t head, double (&memory)[token_threads / 32][Dim]) {
  const int count = call.key_count == nullptr ? call.keys : call.key_count[head / call.key_heads];
  const std::int64_t at = head * Dim + threadIdx.x % Dim;
  const std::int64_t* of_rounded = source.v_sums + at;
  const bool sampled = has_sampled_scale(recipe);
  if (sampled && any_beyond<Dim>(source, head)) of_rounded += sums_of_heads(call);
  const float mean = sampled ? mean_of_blocks<Dim>(source, call, head, count, memory) : call.v_mean[at];
  if (threadIdx.x >= Dim || count == 0) return;
  const double sum = static_cast<double>(*of_rounded) / static_cast<double>(units_of_one(call.values));
  const auto rounded = static_cast<float>(sum / static_cast<double>(count));
  call.v_mean[at] = static_cast<float>(static_cast<double>(mean) -
                                       static_cast<double>(call.v_scales[at]) * static_cast<double>(rounded));
}

// The CTAs of a head's keys: block -1 makes the mean of its values exact. Where a key spoils the head, before or after,
// its scales become NaN, as its outputs do either way.
template <class T, int Dim, class Norm = AsTheyAre>
__device__ void quantize_keys(const SourceCall& source, const Recipe& recipe, const PackedCall& call, int block,
                              int batch, int head, TokenMemory<Dim>& memory, const Norm& norm = {}) {
  if (block >= 0) {
    quantize_tokens<T, Dim, Side::key>(source, recipe, call, block, batch, head, memory, norm);
  } else if (source.v_sums != nullptr) {
    finish_mean_of_values<Dim>(source, recipe, call, std::int64_t{batch} * call.key_heads + head, memory.sums);
  }
}

}  // namespace bitreel::cuda
