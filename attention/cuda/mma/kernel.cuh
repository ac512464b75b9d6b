// Attention on packed integers with mma.sync.
//
// A CTA of four warps attends with 64 queries, 16 a warp, to tiles of 64 or 128 keys that cp.async brings ahead of
// their use. A recipe's block of keys is one or more tiles. Where it is more, its tiles come twice: for the block's
// maximum, then for the weights, because the scores of all would not fit in registers. S's accumulator becomes the A
// operand of P V in the registers where it is (packed.h says why). Each tile's P V is summed apart and added to the
// output in fp32, which is two-level accumulation; sums in fp16 go on for a whole block.
#pragma once

#include <cuda_bf16.h>

#include "attention/cuda/mma/softmax.cuh"

namespace bitreel::cuda::mma {

template <int Dim>
__device__ void store_row(const PackedCall& call, const Place& place, int query, int half,
                          const float (&out)[Dim / 8][4], float sum, float max, float one) {
  if (query >= call.queries) return;
  const int head = place.query_head % call.query_heads, lane = threadIdx.x % 4;
  const float* const scales = call.v_scales + std::int64_t{place.key_head} * Dim;
  const float* const means = call.v_mean + std::int64_t{place.key_head} * Dim;
  const bool broken = isnan(call.q_scales[place.query_head * padded(call.queries) + query]) || isnan(scales[0]);
  const bool alone = sum == 0;  // sees no key
  const std::int64_t at =
      place.batch * call.out_batch_stride + head * call.out_head_stride + query * call.out_token_stride;
#pragma unroll
  for (int n = 0; n < Dim / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int channel = n * 8 + lane * 2 + i;
      if (channel >= call.out_dim) continue;
      float x = fmaf(out[n][half * 2 + i] / sum, scales[channel], means[channel]);
      if (alone) x = 0;
      if (broken) x = NAN;
      switch (call.element) {
        case Element::fp32:
          static_cast<float*>(call.out)[at + channel] = x;
          break;
        case Element::fp16:
          static_cast<__half*>(call.out)[at + channel] = __float2half_rn(x);
          break;
        case Element::bf16:
          static_cast<__nv_bfloat16*>(call.out)[at + channel] = __float2bfloat16_rn(x);
          break;
      }
    }
  }
  if (call.log_sum_exp == nullptr || lane != 0) return;
  constexpr float ln_2 = 0.6931471805599453f;
  float x = (max + log2f(sum / one)) * ln_2 + call.lse_shift[place.query_head * padded(call.queries) + query];
  if (alone) x = -INFINITY;
  if (broken) x = NAN;
  call.log_sum_exp[place.batch * call.lse_batch_stride + head * call.lse_head_stride + query * call.lse_token_stride] =
      x;
}

// grid (tiles of 64 queries, query heads of the call).
template <int Dim, Product product, bool four_bits, int Keys>
__global__ void __launch_bounds__(threads, Dim == 64 && Keys == 64 ? 3 : 2)
    attend(const __grid_constant__ MmaCall call) {
  using G = Geometry<Dim, product, four_bits, Keys>;
  extern __shared__ __align__(128) char shared[];
  const PackedCall& packed = call.packed;
  const Place place(packed);
  const int lane = threadIdx.x % 32, first_row = place.first_query + threadIdx.x / 32 * 16;
  const int row[2] = {first_row + lane / 4, first_row + lane / 4 + 8};
  const int seen[2] = {place.seen(packed, row[0]), place.seen(packed, row[1])};
  const int seen_by_all = place.seen(packed, first_row);
  const int tiles = (place.seen(packed, place.first_query + tile_queries - 1) + Keys - 1) / Keys;
  const int tiles_of_block = call.keys_of_block / Keys, steps = tiles * (tiles_of_block == 1 ? 1 : 2);

  const std::int64_t query_at = place.query_head * padded(packed.queries);
  QueryTile<G::key_bytes / 32, Dim == 64> q;
  q.load(packed.q + (query_at + first_row) * G::key_bytes, shared + G::queries_at);
  const float q_scale[2] = {packed.q_scales[query_at + row[0]], packed.q_scales[query_at + row[1]]};

  SoftmaxRows<Dim, product> rows;
  rows.clear();
  float block_max[2];
  const auto load = [&](int step) {
    if (step < steps) {
      load_stage<G, Dim>(packed, place, step_of(step, tiles, tiles_of_block),
                         shared + step % G::stages * G::stage_bytes);
    }
    commit_copies();
  };
  for (int step = 0; step < G::stages - 1; ++step) load(step);

  for (int at = 0; at < steps; ++at) {
    wait_for_copies<G::stages - 2>();
    __syncthreads();
    load(at + G::stages - 1);
    const Step step = step_of(at, tiles, tiles_of_block);
    const char* const stage = shared + at % G::stages * G::stage_bytes;

    int s[Keys / 8][4];
    scores_of<four_bits>(q, stage + G::keys_at, s);
    float logits[Keys / 8][4];
    const float2* const scales = reinterpret_cast<const float2*>(stage + G::scales_at) + lane % 4;
    const float2* const bias = reinterpret_cast<const float2*>(stage + G::bias_at) + lane % 4;
#pragma unroll
    for (int n = 0; n < Keys / 8; ++n) {
      const float2 scale = scales[n * 4];
      const float2 extra = packed.qk_bias == nullptr ? make_float2(0, 0) : bias[n * 4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        logits[n][i] = fmaf(static_cast<float>(s[n][i]) * (i % 2 == 0 ? scale.x : scale.y), q_scale[i / 2],
                            i % 2 == 0 ? extra.x : extra.y);
      }
    }
    const int first_key = step.tile * Keys;
    if (first_key + Keys > seen_by_all) {
#pragma unroll
      for (int n = 0; n < Keys / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (first_key + n * 8 + lane % 4 * 2 + i % 2 >= seen[i / 2]) logits[n][i] = -INFINITY;
        }
      }
    }

    const bool one_pass = tiles_of_block == 1;
    if (one_pass || step.scores_only) {
      if (step.first_of_block) block_max[0] = block_max[1] = -INFINITY;
#pragma unroll
      for (int n = 0; n < Keys / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) block_max[i / 2] = fmaxf(block_max[i / 2], logits[n][i]);
      }
      if (step.last_of_block) rows.begin_block(block_max, call.block_maximum != 0);
    }
    if (step.scores_only) continue;
    Weights<product, Keys> weights;
    float sum[2];
    weigh<product, Keys>(call, logits, rows.against, sum, weights);
    add_product<Dim, product, Keys>(call, weights, stage + G::values_at, sum, step.last_of_block, rows);
  }

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    rows.sum[r] += __shfl_xor_sync(~0u, rows.sum[r], 1);
    rows.sum[r] += __shfl_xor_sync(~0u, rows.sum[r], 2);
    store_row<Dim>(packed, place, row[r], r, rows.out, rows.sum[r], rows.max[r], call.one);
  }
}

template <int Dim, Product product, bool four_bits, int Keys>
int launch(const MmaCall& call, cudaStream_t stream) {
  using G = Geometry<Dim, product, four_bits, Keys>;
  const auto kernel = attend<Dim, product, four_bits, Keys>;
  if (const cudaError_t error =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, G::shared_bytes);
      error != cudaSuccess) {
    return error;
  }
  const dim3 grid((call.packed.queries + tile_queries - 1) / tile_queries, call.packed.head_count);
  kernel<<<grid, threads, G::shared_bytes, stream>>>(call);
  return cudaGetLastError();
}

// Tiles of 128 keys go once through the blocks of the program's own recipes; registers hold them with 64 channels.
template <Product product, bool four_bits>
int launch_any(const MmaCall& call, cudaStream_t stream) {
  constexpr int most_keys = product == Product::e4m3 || product == Product::fp16 ? 128 : 64;
  if (call.packed.dim == 128) return launch<128, product, four_bits, 64>(call, stream);
  return call.keys_of_block == 64 ? launch<64, product, four_bits, 64>(call, stream)
                                  : launch<64, product, four_bits, most_keys>(call, stream);
}

}  // namespace bitreel::cuda::mma
