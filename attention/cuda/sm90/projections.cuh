// Queries and keys as their projection made them, on their way to integers: normed and rotated (head_norm.cuh), rounded
// to T as they would be in memory. Part of the quantization pass (quantize.cuh).
//
// Nothing is written before it is an integer. Keys want their mean taken off first: those that it is of are normed
// twice.
#pragma once

#include "attention/cuda/head_norm.cuh"
#include "attention/cuda/values.cuh"
#include "attention/cuda/vectors.cuh"

namespace bitreel::cuda::sm90 {

inline constexpr int projections_at_once = 4;  // tokens that a thread has on their way

// A head's rows, whole and on 16 bytes, at a channel.
template <class T>
__device__ const T* rows_at(const Rows& rows, int batch, int head, int channel) {
  return static_cast<const T*>(rows.data) + batch * rows.batch_stride + head * rows.head_stride + channel;
}

// Eight channels of a token, normed, in place.
template <class T, int Lanes>
class NormOfTokens {
 public:
  __device__ NormOfTokens(const NormOfHead& norm, const NormsOfHeads& norms, int channel)
      : norm_(norm.weight, norm.bias, channel, norm.eps), norms_(norms) {}

  __device__ void operator()(Octet<T>& x, int token, int channel) const {
    const int angle = angle_at(norms_.cos, token, norms_.first_rotated, Lanes * 8, channel);
    float values[8];
    norm_.template apply<Lanes>(x, norms_.cos, norms_.sin, angle, values);
    x = rounded<T>(values);
  }

 private:
  HeadNormVector<T> norm_;
  const NormsOfHeads& norms_;
};

// One of a head's chunks of keys.
template <class T, int Dim>
__device__ void sum_normed_keys(const SourceCall& source, const PackedCall& call, const SummedChunks& chunks, int batch,
                                int of_batch, int chunk, SumMemory<Dim>& memory) {
  constexpr int threads_of_row = Dim / 8, rows = pass_threads / threads_of_row;
  const auto [run, tokens, count] = chunks.of_keys;
  const int first = chunk * tokens, last = min(first + tokens, call.keys);
  const int row = threadIdx.x / threads_of_row, channel = threadIdx.x % threads_of_row * 8;
  const int own = row / run * sample_period + row % run, step = rows * (sample_period / run);
  const T* const from = rows_at<T>(source.k, batch, of_batch, channel);
  const NormOfTokens<T, threads_of_row> norm(source.norms.k, source.norms, channel);

  ChannelSums<T, Dim, Summed::keys> sums;
  // The whole block, since a row's lanes sum together.
  for (int group = first; group < last; group += step * projections_at_once) {
    Octet<T> x[projections_at_once];
    float counts[projections_at_once];
#pragma unroll
    for (int j = 0; j < projections_at_once; ++j)
      x[j].load(from + min(group + own + j * step, last - 1) * source.k.token_stride);
#pragma unroll
    for (int j = 0; j < projections_at_once; ++j) {
      const int token = group + own + j * step;
      norm(x[j], min(token, last - 1), channel);
      counts[j] = token < last ? 0.25f : 0.0f;
    }
    sums.add(x, counts);
  }
  sums.write(source, batch * call.key_heads + of_batch, chunk, chunks.places, memory);
}

// One chunk of queries of a head.
template <class T, int Dim>
__device__ void quantize_projected_queries(const SourceCall& source, const Recipe& recipe, const PackedCall& call,
                                           int batch, int of_batch, int chunk) {
  constexpr int threads_of_row = Dim / 8, rows = pass_threads / threads_of_row, at_once = projections_at_once;
  static_assert(threads_of_row >= at_once);
  const int tokens = chunk_tokens(call), first = chunk * tokens, last = min(first + tokens, call.queries);
  const std::int64_t padded_queries = padded(call.queries);
  const int end = min(first + tokens, static_cast<int>(padded_queries));
  const std::int64_t before = (std::int64_t{batch} * call.query_heads + of_batch) * padded_queries;
  const int row = threadIdx.x / threads_of_row, lane = threadIdx.x % threads_of_row, channel = lane * 8;
  const T* const from = rows_at<T>(source.q, batch, of_batch, channel);
  const NormOfTokens<T, threads_of_row> norm(source.norms.q, source.norms, channel);
  const float levels = recipe.qk == QkFormat::int8 ? 127.0f : 7.0f;
  const float log2_scale = static_cast<float>(fabs(source.scale) * 1.4426950408889634);

  for (int group = first; group < end; group += rows * at_once) {
    Octet<T> x[at_once];
#pragma unroll
    for (int j = 0; j < at_once; ++j) x[j].load(from + min(group + row + j * rows, last - 1) * source.q.token_stride);
    float largest[at_once];
#pragma unroll
    for (int j = 0; j < at_once; ++j) {
      norm(x[j], min(group + row + j * rows, last - 1), channel);
      largest[j] = x[j].largest();
#pragma unroll
      for (int step = at_once; step < threads_of_row; step *= 2) {
        largest[j] = larger_magnitude(largest[j], __shfl_xor_sync(~0u, largest[j], step));
      }
    }
    // In each lane of four, of the token that is its own among the row's. A query that holds NaN or infinity becomes
    // zeros without a scale, padding zeros.
    const int own_token = group + row + lane % at_once * rows;
    const float amax = larger_magnitude(largest_by_lane(largest), least_amax);
    const bool broken = !isfinite(amax), counts = own_token < last;
    const float factor = broken || !counts ? 0.0f : (source.scale < 0 ? -levels : levels) / amax;
    if (lane < at_once && own_token < end) {
      call.q_scales[before + own_token] = !counts ? 0.0f : broken ? NAN : amax / levels * log2_scale;
    }
    std::int8_t* const to = call.q + (before + group + row) * Dim + channel;
    const auto write = [&](const auto& pack) {
#pragma unroll
      for (int j = 0; j < at_once; ++j) {
        const float of_token = __shfl_sync(~0u, factor, j, at_once);
        if (group + row + j * rows >= end) continue;
        if (of_token == 0) x[j].clear();
        float values[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) values[i] = x[j][i];
        *reinterpret_cast<uint2*>(to + std::int64_t{j} * rows * Dim) = pack(values, of_token);
      }
    };
    if (call.integers == IntegerFormat::e4m3) {
      write(eight_e4m3);
    } else {
      write(eight_bytes);
    }
  }
}

}  // namespace bitreel::cuda::sm90
