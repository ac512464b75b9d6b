// From tokens to integers and scales, in the layouts of packed.h; arithmetic: attention/recipe.h.
//
// A CTA takes 128 tokens of one head, 16 bytes a thread at a time, and keeps them in registers: a tensor is read once and
// its bytes are written once. Scales are shared through shared memory, as the largest of magnitudes: their bits compare
// as integers do, so that atomicMax gives the same whoever comes first.
#include <cuda_fp8.h>

#include "attention/cuda/elements.cuh"
#include "attention/cuda/quantize.cuh"

namespace bitreel::cuda {
namespace {

constexpr int threads = 256;

enum class Side { query, key };

// Which of a block's scales (of 128 tokens) a token has.
__device__ int group_of(Granularity granularity, Side side, int token) {
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

template <int Lanes>
__device__ float largest_of_lanes(float x) {
#pragma unroll
  for (int step = 1; step < Lanes; step *= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, step));
  return x;
}

template <int Lanes>
__device__ double sum_of_lanes(double x) {
#pragma unroll
  for (int step = 1; step < Lanes; step *= 2) x += __shfl_xor_sync(~0u, x, step);
  return x;
}

__device__ unsigned bytes_of(const float* x, float inverse) {
  unsigned word = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) word |= (__float2int_rn(x[i] * inverse) & 255) << (8 * i);
  return word;
}

__device__ unsigned halves_of_bytes(const float (&x)[8], float inverse) {
  unsigned word = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) word |= (__float2int_rn(x[i] * inverse) & 15) << (4 * i);
  return word;
}

// The mean over the block's tokens of each channel, into `mean`; sums in fp64.
template <int Dim, int Rows, int Passes>
__device__ void mean_of_block(const float (&x)[Passes][8], int count, int row, int channel, double (*sums)[Dim],
                              float* mean) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    double sum = 0;
#pragma unroll
    for (int pass = 0; pass < Passes; ++pass) sum += static_cast<double>(x[pass][i]);  // zeros beyond the last
    sums[row][channel + i] = sum;
  }
  __syncthreads();
  for (int c = threadIdx.x; c < Dim; c += threads) {
    double sum = 0;
    for (int r = 0; r < Rows; ++r) sum += sums[r][c];
    mean[c] = static_cast<float>(sum / static_cast<double>(count));
  }
  __syncthreads();
}

// grid (blocks of 128 tokens, heads).
template <class T, int Dim, Side side>
__global__ void __launch_bounds__(threads) quantize_tokens(SourceCall source, Recipe recipe, PackedCall call) {
  constexpr int threads_of_row = Dim / 8, rows = threads / threads_of_row, passes = block_tokens / rows;
  constexpr bool is_query = side == Side::query;
  __shared__ float mean[Dim];
  __shared__ unsigned group_amax[block_tokens];
  __shared__ double sums[is_query ? rows : 1][Dim];

  const int heads = is_query ? call.query_heads : call.key_heads;
  const int batch = blockIdx.y / heads, head = blockIdx.y % heads;
  const int count = is_query ? call.queries : call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = blockIdx.x * block_tokens, here = min(block_tokens, count - first);
  const std::int64_t tokens_before = std::int64_t{blockIdx.y} * padded(is_query ? call.queries : call.keys) + first;
  const std::int64_t key_head = std::int64_t{batch} * call.key_heads +
                                (is_query ? head / (call.query_heads / call.key_heads) : head);
  const HeadRows<T> source_rows = head_rows<T>(is_query ? source.q : source.k, batch, head, source.dim, Dim);
  const std::int32_t* const kept =
      is_query || source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int row = threadIdx.x / threads_of_row, lane = threadIdx.x % threads_of_row, channel = lane * 8;

  float x[passes][8];
#pragma unroll
  for (int pass = 0; pass < passes; ++pass) {
    const int token = pass * rows + row;
    if (token < here) {
      source_rows.load(kept == nullptr ? first + token : kept[first + token], channel, x[pass]);
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i) x[pass][i] = 0;
    }
  }
  if (threadIdx.x < block_tokens) group_amax[threadIdx.x] = 0;
  for (int c = threadIdx.x; c < Dim; c += threads) mean[c] = is_query ? 0.0f : call.k_mean[key_head * Dim + c];

  // A query that holds NaN or infinity is a row of zeros to the others of its block.
  unsigned broken = 0;
  if (is_query) {
#pragma unroll
    for (int pass = 0; pass < passes; ++pass) {
      float largest = 0;
      bool finite = true;
#pragma unroll
      for (int i = 0; i < 8; ++i) finite &= isfinite(x[pass][i]);
      largest = largest_of_lanes<threads_of_row>(finite ? 0.0f : 1.0f);
      if (largest == 0) continue;
      broken |= 1u << pass;
#pragma unroll
      for (int i = 0; i < 8; ++i) x[pass][i] = 0;
    }
    if (call.lse_shift != nullptr) {
#pragma unroll
      for (int pass = 0; pass < passes; ++pass) {
        double dot = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          dot += static_cast<double>(x[pass][i]) * static_cast<double>(call.k_mean[key_head * Dim + channel + i]);
        }
        dot = sum_of_lanes<threads_of_row>(dot);
        if (lane == 0) call.lse_shift[tokens_before + pass * rows + row] = static_cast<float>(dot * source.scale);
      }
    }
    if (recipe.smooth_q == Smoothing::on) {
      mean_of_block<Dim, rows, passes>(x, here, row, channel, sums, mean);
      for (int c = threadIdx.x; c < Dim; c += threads) {
        call.q_means[(std::int64_t{blockIdx.y} * gridDim.x + blockIdx.x) * Dim + c] = mean[c];
      }
    }
  }
  __syncthreads();

  const Granularity granularity = is_query ? recipe.q_scales : recipe.k_scales;
  const float levels = recipe.qk == QkFormat::int8 ? 127.0f : 7.0f;
#pragma unroll
  for (int pass = 0; pass < passes; ++pass) {
    const int token = pass * rows + row;
    float amax = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (token < here) x[pass][i] -= mean[channel + i];
      amax = fmaxf(amax, fabsf(x[pass][i]));
    }
    amax = largest_of_lanes<threads_of_row>(amax);
    if (lane == 0 && token < here) atomicMax(&group_amax[group_of(granularity, side, token)], __float_as_uint(amax));
  }
  __syncthreads();

  std::int8_t* const integers = is_query ? call.q : call.k;
  const float octaves = is_query ? static_cast<float>(source.scale * 1.4426950408889634) : 1.0f;
#pragma unroll
  for (int pass = 0; pass < passes; ++pass) {
    const int token = pass * rows + row;
    const float amax = fmaxf(__uint_as_float(group_amax[group_of(granularity, side, token)]), least_amax);
    const float inverse = levels / amax, scale = amax / levels;
    const std::int64_t at = (tokens_before + token) * Dim + channel;
    if (call.four_bits != 0) {
      *reinterpret_cast<unsigned*>(integers + at / 2) = halves_of_bytes(x[pass], inverse);
    } else {
      *reinterpret_cast<uint2*>(integers + at) = make_uint2(bytes_of(x[pass], inverse), bytes_of(x[pass] + 4, inverse));
    }
    if (lane != 0) continue;
    if (is_query) {
      call.q_scales[tokens_before + token] = token >= here ? 0.0f : broken >> pass & 1 ? NAN : scale * octaves;
    } else if (call.key_scales == KeyScales::token) {
      call.k_scales[tokens_before + token] = token < here ? scale : 0.0f;
    }
  }
  if (!is_query && call.key_scales == KeyScales::warpgroup && threadIdx.x < 4) {
    const float amax = fmaxf(__uint_as_float(group_amax[threadIdx.x]), least_amax);
    call.k_scales[tokens_before / block_tokens * 4 + threadIdx.x] = amax / levels;
  }
}

// Four values of one channel, of keys that lie side by side, as one or two words.
__device__ unsigned word_of_bytes(const float* x, ValueFormat format, float factor) {
  if (format == ValueFormat::int8) return bytes_of(x, factor);
  const unsigned low = __nv_cvt_float2_to_fp8x2(make_float2(x[0] * factor, x[1] * factor), __NV_SATFINITE, __NV_E4M3);
  const unsigned high = __nv_cvt_float2_to_fp8x2(make_float2(x[2] * factor, x[3] * factor), __NV_SATFINITE, __NV_E4M3);
  return low | high << 16;
}

__device__ unsigned word_of_halves(float a, float b, ValueFormat format, float divisor) {
  __half2 halves;
  if (format == ValueFormat::fp16) {
    halves = __floats2half2_rn(a / divisor, b / divisor);
  } else {  // fp16 holds every number of e4m3
    const __nv_fp8x2_storage_t both =
        __nv_cvt_float2_to_fp8x2(make_float2(a * divisor, b * divisor), __NV_SATFINITE, __NV_E4M3);
    halves = __half2(__nv_cvt_fp8x2_to_halfraw2(both, __NV_E4M3));
  }
  return *reinterpret_cast<unsigned*>(&halves);
}

__device__ unsigned one_of(ValueFormat format) {
  if (format == ValueFormat::int8) return 0x01010101u;
  return format == ValueFormat::e4m3 ? 0x38383838u : 0x3c003c00u;
}

// grid (blocks of 128 keys, heads). Words: of four keys in bytes, or two in fp16.
template <class T, int Dim, int Bytes>
__global__ void __launch_bounds__(threads) quantize_values(SourceCall source, Recipe recipe, PackedCall call) {
  constexpr int threads_of_row = Dim / 8, quads = block_tokens / 4, quads_at_once = threads / threads_of_row;
  constexpr int words = block_tokens * Bytes / 4;
  __shared__ unsigned transposed[Dim][words + 1];

  const int batch = blockIdx.y / call.key_heads;
  const int count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = blockIdx.x * block_tokens;
  const HeadRows<T> rows = head_rows<T>(source.v, batch, blockIdx.y % call.key_heads, source.dim, Dim);
  const std::int32_t* const kept =
      source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int channel = threadIdx.x % threads_of_row * 8;
  float mean[8], factor[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    mean[i] = call.v_mean[std::int64_t{blockIdx.y} * Dim + channel + i];
    factor[i] = source.v_divisors[std::int64_t{blockIdx.y} * Dim + channel + i];
  }

#pragma unroll
  for (int quad = threadIdx.x / threads_of_row; quad < quads; quad += quads_at_once) {
    float x[4][8];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      // Bytes: keys 2t, 2t + 1, 8 + 2t, 9 + 2t of the sixteen.
      const int place = Bytes == 1 ? quad / 4 * 16 + quad % 4 * 2 + j % 2 + j / 2 * 8 : quad * 4 + j;
      const int key = first + place;
      if (key < count) {
        rows.load(kept == nullptr ? key : kept[key], channel, x[j]);
#pragma unroll
        for (int i = 0; i < 8; ++i) x[j][i] -= mean[i];
      } else {
#pragma unroll
        for (int i = 0; i < 8; ++i) x[j][i] = 0;
      }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float of_channel[4] = {x[0][i], x[1][i], x[2][i], x[3][i]};
      if constexpr (Bytes == 1) {
        transposed[channel + i][quad] = word_of_bytes(of_channel, call.values, factor[i]);
      } else {
        transposed[channel + i][quad * 2] = word_of_halves(of_channel[0], of_channel[1], call.values, factor[i]);
        transposed[channel + i][quad * 2 + 1] = word_of_halves(of_channel[2], of_channel[3], call.values, factor[i]);
      }
    }
  }
  __syncthreads();

  const std::int64_t row_words = padded(call.keys) * Bytes / 4;
  unsigned* const out = static_cast<unsigned*>(call.v) + std::int64_t{blockIdx.y} * (Dim + extra_rows) * row_words +
                        std::int64_t{blockIdx.x} * words;
  for (int i = threadIdx.x; i < (Dim + extra_rows) * words; i += threads) {
    const int c = i / words, word = i % words;
    unsigned value = 0;
    if (c < Dim) {
      value = transposed[c][word];
    } else if (c == Dim) {
      const unsigned one = one_of(call.values);
#pragma unroll
      for (int j = 0; j < 4 / Bytes; ++j) {
        const int place = Bytes == 1 ? word / 4 * 16 + word % 4 * 2 + j % 2 + j / 2 * 8 : word * 2 + j;
        const unsigned mask = (Bytes == 1 ? 0xffu : 0xffffu) << (8 * Bytes * j);
        if (first + place < count) value |= one & mask;
      }
    }
    out[c * row_words + word] = value;
  }
}

template <class T, int Dim>
int launch(const SourceCall& source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  const dim3 of_queries(padded(call.queries) / block_tokens, call.batch * call.query_heads);
  const dim3 of_keys(padded(call.keys) / block_tokens, call.batch * call.key_heads);
  quantize_tokens<T, Dim, Side::query><<<of_queries, threads, 0, stream>>>(source, recipe, call);
  quantize_tokens<T, Dim, Side::key><<<of_keys, threads, 0, stream>>>(source, recipe, call);
  if (call.values == ValueFormat::int8 || call.values == ValueFormat::e4m3) {
    quantize_values<T, Dim, 1><<<of_keys, threads, 0, stream>>>(source, recipe, call);
  } else {
    quantize_values<T, Dim, 2><<<of_keys, threads, 0, stream>>>(source, recipe, call);
  }
  return cudaGetLastError();
}

}  // namespace

int quantize_heads(const SourceCall& source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  return with_element_and_dim(source.element, call.dim, [&](auto element, auto dim) {
    return launch<decltype(element), decltype(dim)::value>(source, recipe, call, stream);
  });
}

}  // namespace bitreel::cuda
