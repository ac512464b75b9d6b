// From values to bytes or fp16 of V^T, 128 keys of a head at a time, in the layout of packed.h. Part of the
// quantization pass (quantize.cuh).
//
// A thread reads the four keys whose bytes make one word of a channel's row, for eight channels; rows are gathered in
// shared memory and written whole.
#pragma once

#include <cuda_fp8.h>

#include "attention/cuda/tokens.cuh"

namespace bitreel::cuda {

// Which of the 128 keys lies at a place of V's row, counted in elements of so many bytes.
template <int Bytes>
__device__ int key_at(int place) {
  if (Bytes != 1) return place;
  const int quad = place / 4, j = place % 4;
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

// In every element of a word.
inline __device__ unsigned ones_of(ValueFormat format) {
  if (format == ValueFormat::int8) return 0x01010101u;
  return format == ValueFormat::e4m3 ? 0x38383838u : 0x3c003c00u;
}

template <int Dim, int Bytes>
struct ValueMemory {
  static constexpr int words = block_tokens * Bytes / 4;
  unsigned transposed[Dim][words + 1];  // one more: threads that write together are then in different banks
};

template <class T, int Dim, int Bytes>
__device__ void quantize_values(const SourceCall& source, const PackedCall& call, int block, int head,
                                ValueMemory<Dim, Bytes>& memory) {
  constexpr int threads_of_row = Dim / 8, quads = block_tokens / 4, quads_at_once = pass_threads / threads_of_row;
  constexpr int words = ValueMemory<Dim, Bytes>::words;
  const int batch = head / call.key_heads;
  const int count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = block * block_tokens;
  const HeadRows<T> rows = head_rows<T>(source.v, batch, head % call.key_heads, source.dim, Dim);
  const std::int32_t* const kept = source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int channel = threadIdx.x % threads_of_row * 8;

  Octet<float> mean, factor;
  mean.load(call.v_mean + std::int64_t{head} * Dim + channel);
  factor.load(source.v_divisors + std::int64_t{head} * Dim + channel);

#pragma unroll
  for (int quad = threadIdx.x / threads_of_row; quad < quads; quad += quads_at_once) {
    Octet<T> x[4];
    bool counts[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int key = first + key_at<Bytes>(quad * 4 + j);
      counts[j] = key < count;
      if (counts[j]) rows.load(kept == nullptr ? key : kept[key], channel, x[j]);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float v[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) v[j] = counts[j] ? x[j][i] - mean[i] : 0.0f;
      unsigned* const to = memory.transposed[channel + i];
      if constexpr (Bytes == 1) {
        to[quad] = word_of_bytes(v[0], v[1], v[2], v[3], call.values, factor[i]);
      } else {
        to[quad * 2] = word_of_fp16(v[0], v[1], call.values, factor[i]);
        to[quad * 2 + 1] = word_of_fp16(v[2], v[3], call.values, factor[i]);
      }
    }
  }
  __syncthreads();

  const std::int64_t row_words = padded(call.keys) * Bytes / 4;
  unsigned* const out = static_cast<unsigned*>(call.v) + std::int64_t{head} * (Dim + extra_rows) * row_words +
                        std::int64_t{block} * words;
  for (int i = threadIdx.x; i < Dim * words; i += pass_threads) {
    out[i / words * row_words + i % words] = memory.transposed[i / words][i % words];
  }
  for (int i = threadIdx.x; i < extra_rows * words; i += pass_threads) {
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

}  // namespace bitreel::cuda
