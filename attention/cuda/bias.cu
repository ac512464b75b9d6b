// What smoothing q takes off the logits and must be added back: mean(q block) . k' * scale * log2(e), from keys before
// their quantization (2411.10958 section 3.1). N^2 / 128 numbers a head, so heads come in chunks.
//
// A thread has one key in registers and goes through the blocks of queries, whose means all threads read at once.
#include "attention/cuda/elements.cuh"
#include "attention/cuda/quantize.cuh"
#include "attention/cuda/start.cuh"

namespace bitreel::cuda {
namespace {

constexpr int threads = 128, blocks_at_once = 16;

// grid (blocks of 128 keys, groups of 16 query blocks, query heads of the chunk).
template <class T, int Dim>
__global__ void __launch_bounds__(threads) bias(SourceCall source, PackedCall call) {
  __shared__ float4 means[blocks_at_once][Dim / 4];
  const int query_head = call.first_head + blockIdx.z, batch = query_head / call.query_heads;
  const int head = query_head % call.query_heads / (call.query_heads / call.key_heads);
  const int count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int blocks = padded(call.queries) / block_tokens, first_block = blockIdx.y * blocks_at_once;
  const int here = min(blocks_at_once, blocks - first_block);
  const float4* const from =
      reinterpret_cast<const float4*>(call.q_means + (std::int64_t{query_head} * blocks + first_block) * Dim);
  for (int i = threadIdx.x; i < here * Dim / 4; i += threads) means[i / (Dim / 4)][i % (Dim / 4)] = from[i];

  const int key = blockIdx.x * block_tokens + threadIdx.x;
  float k[Dim];
  if (key < count) {
    const HeadRows<T> rows = head_rows<T>(source.k, batch, head, source.dim, Dim);
    const std::int64_t index = source.key_mask == nullptr ? key : source.kept[std::int64_t{batch} * call.keys + key];
    const float* const mean = call.k_mean + (std::int64_t{batch} * call.key_heads + head) * Dim;
#pragma unroll
    for (int c = 0; c < Dim; c += 8) {
      Octet<T> x;
      rows.load(index, c, x);
#pragma unroll
      for (int i = 0; i < 8; ++i) k[c + i] = x[i] - mean[c + i];
    }
  } else {
#pragma unroll
    for (int c = 0; c < Dim; ++c) k[c] = 0;
  }
  __syncthreads();
  const float log2_scale = static_cast<float>(source.scale * 1.4426950408889634);
  const std::int64_t row = padded(call.keys);
  float* const out = call.qk_bias + (std::int64_t{blockIdx.z} * blocks + first_block) * row + key;
  for (int block = 0; block < here; ++block) {
    float sums[4] = {};
#pragma unroll
    for (int c = 0; c < Dim / 4; ++c) {
      const float4 mean = means[block][c];
      sums[0] = fmaf(mean.x, k[4 * c], sums[0]);
      sums[1] = fmaf(mean.y, k[4 * c + 1], sums[1]);
      sums[2] = fmaf(mean.z, k[4 * c + 2], sums[2]);
      sums[3] = fmaf(mean.w, k[4 * c + 3], sums[3]);
    }
    out[block * row] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) * log2_scale;
  }
}

template <class T, int Dim>
int launch(const SourceCall& source, const PackedCall& call, cudaStream_t stream) {
  const int blocks = padded(call.queries) / block_tokens;
  const dim3 grid(padded(call.keys) / block_tokens, (blocks + blocks_at_once - 1) / blocks_at_once, call.head_count);
  start(bias<T, Dim>, grid, threads, stream, source, call);
  return last_start_error();
}

}  // namespace

int bias_of_means(const SourceCall& source, const PackedCall& call, cudaStream_t stream) {
  return with_element_and_dim(source.element, call.dim, [&](auto element, auto dim) {
    return launch<decltype(element), decltype(dim)::value>(source, call, stream);
  });
}

}  // namespace bitreel::cuda
