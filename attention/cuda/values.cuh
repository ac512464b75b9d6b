// From values to bytes or fp16 of V^T, 128 keys of a head at a time, in the layout of packed.h. Part of the
// quantization pass (quantize.cuh).
//
// A thread reads the four keys whose bytes make one word of a channel's row, for eight channels; rows are gathered in
// shared memory and written whole.
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

  // Where a channel's word lies: threads that write together, of eight channels each, are then in different banks.
  __device__ unsigned& word(int channel, int at) {
    return reinterpret_cast<unsigned*>(transposed[channel])[at ^ channel / 8 % 8 * 4];
  }
  __device__ const uint4& four_words(int channel, int at) const { return transposed[channel][at ^ channel / 8 % 8]; }
};

// The head is one of a batch's key heads.
template <class T, int Dim, int Bytes>
__device__ void quantize_values(const SourceCall& source, const PackedCall& call, int block, int batch, int of_batch,
                                ValueMemory<Dim, Bytes>& memory) {
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
  offset.load(source.v_offsets + head * Dim + channel);
  factor.load(source.v_divisors + head * Dim + channel);
  const bool sums = source.v_sums != nullptr;
  if (sums) {
    if (threadIdx.x < Dim) memory.sums[threadIdx.x] = 0;
    __syncthreads();
  }

  using Sum = typename ValueMemory<Dim, Bytes>::Sum;
  [[maybe_unused]] float sum[8] = {};
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
        unsigned packed[8][words_of_quad];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          float v[4];
#pragma unroll
          for (int j = 0; j < 4; ++j) v[j] = x[q][j][i] - offset[i];
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
  if constexpr (Bytes == 1) {
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
  __syncthreads();
  if (sums && threadIdx.x < Dim) {
    atomicAdd(reinterpret_cast<unsigned long long*>(source.v_sums) + head * Dim + threadIdx.x,
              static_cast<unsigned long long>(static_cast<std::int64_t>(memory.sums[threadIdx.x])));
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

// What outputs get back of a head: mean(v), which v_mean is so far, less the scale times the mean of the rounded
// values.
template <int Dim>
__device__ void finish_mean_of_values(const SourceCall& source, const PackedCall& call, int head) {
  const int count = call.key_count == nullptr ? call.keys : call.key_count[head / call.key_heads];
  if (threadIdx.x >= Dim || count == 0) return;
  const std::int64_t at = std::int64_t{head} * Dim + threadIdx.x;
  const double sum = static_cast<double>(source.v_sums[at]) / static_cast<double>(units_of_one(call.values));
  const auto mean = static_cast<float>(sum / static_cast<double>(count));
  call.v_mean[at] = static_cast<float>(static_cast<double>(call.v_mean[at]) -
                                       static_cast<double>(call.v_scales[at]) * static_cast<double>(mean));
}

}  // namespace bitreel::cuda
