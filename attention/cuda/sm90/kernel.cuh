// Attention over 8-bit q, k and v on Hopper: one block per multiprocessor, a warpgroup that copies, others that
// compute.
//
// A consumer warpgroup owns 64 queries and walks over the keys in tiles of 128:
//   issue S(j) = Q K(j)^T; issue O += P(j-1) V(j-1); wait for S(j); maximum; wait for O; P(j) = 2^(S(j) - maximum)
// Consumers are not synchronised with each other: one's products run beside the others' exponentials. Nothing masks
// keys: padding has zeros for values and in V's row of ones, so its weights count nowhere, and its scores are 0, which
// no row's maximum is below when keys are without their mean. Source of the shape: FlashAttention-3 (2407.08608); of
// the arithmetic: SageAttention2 (2411.10958).
#pragma once

#include <cstdint>

#include "attention/cuda/sm90/consumer.cuh"
#include "attention/cuda/sm90/copies.cuh"
#include "attention/cuda/sm90/layout.cuh"
#include "attention/cuda/sm90/sums.cuh"
#include "attention/cuda/sm90/write.cuh"

namespace bitreel::cuda::sm90 {

// One thread copies: the queries of each tile, then keys and values as stages of the ring fall empty.
template <int dim, class Tuning>
__device__ __forceinline__ void produce(const Parameters& p, std::uint8_t* shared, Barriers<Tuning::stages>& barriers) {
  using L = Layout<dim, Tuning>;
  Turn<Tuning::stages> turn;
  turn.parity = 1;
  std::uint32_t query_parity = 1;
  for (int tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
    const Place place(p, tile, L::rows);
    wait(&barriers.queries.empty, query_parity);
    query_parity ^= 1;
    expect(&barriers.queries.full, L::query_bytes);
    copy_tile(shared, &p.queries, &barriers.queries.full, 0, place.first_query, place.head);
    for (int j = 0; j < p.key_tiles; ++j) {
      StageBarriers& stage = barriers.stage[turn.stage];
      wait(&stage.empty, turn.parity);
      expect(&stage.full, L::key_bytes + L::value_bytes);
      copy_tile(shared + L::keys_at + turn.stage * L::key_bytes, &p.keys, &stage.full, 0, j * tile_keys,
                place.key_head);
      copy_tile(shared + L::values_at + turn.stage * L::value_bytes, &p.values, &stage.full, j * tile_keys, 0,
                place.key_head);
      turn.next();
    }
  }
}

template <int dim, class Tuning>
__device__ __forceinline__ void consume(const Parameters& p, std::uint8_t* shared, Barriers<Tuning::stages>& barriers) {
  using L = Layout<dim, Tuning>;
  const int group = __shfl_sync(~0u, threadIdx.x / warpgroup, 0) - 1;  // known to be the same in a warp
  const int thread = threadIdx.x % warpgroup;
  const int lane = thread % 32, row = group * rows_of_warpgroup + thread / 32 * 16 + lane / 4;

  Consumer<dim, Tuning> c;
  c.queries = tile_at(shared_address(shared) + group * rows_of_warpgroup * dim);
  c.keys = tile_at(shared_address(shared + L::keys_at));
  c.values = tile_at(shared_address(shared + L::values_at));
  c.bases = shared_address(shared + L::bases_at);
  Sums<L::output_registers, Tuning::consumers * warpgroup> sums;
  sums.own = reinterpret_cast<float4*>(shared + L::sums_at) + threadIdx.x - warpgroup;

  Turn<Tuning::stages> turn;
  std::uint32_t query_parity = 0;
  for (int tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
    const Place place(p, tile, L::rows);
    const int query = place.first_query + row;
    const float* query_scales = p.call.q_scales + std::int64_t{place.head} * padded(p.call.queries);
    const float* key_scales = p.call.k_scales + std::int64_t{place.key_head} * p.key_tiles * 4 + lane % 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      c.query_scale[r] = query + 8 * r < p.call.queries ? query_scales[query + 8 * r] : 0;
      c.maximum[r] = Scores<Tuning::product>::least_maximum;
    }
#pragma unroll
    for (float& x : c.output) x = 0;
    sums.clear();

    c.start_scores();
    wait(&barriers.queries.full, query_parity);
    query_parity ^= 1;
    wait(&barriers.stage[turn.stage].full, turn.parity);
    fence_registers();
    c.issue_scores(turn.stage);
    float scale[2] = {c.query_scale[0] * key_scales[0], c.query_scale[1] * key_scales[0]};
    float correction[2];
    wait_for_products<0>();
    c.move_maximum(scale, correction);
    c.weigh(scale);
    int before = turn.stage;
    turn.next();

    float key_scale = key_scales[p.key_tiles > 1 ? 4 : 0];
    for (int j = 1; j < p.key_tiles;) {
      for (const int stop = min(j + Tuning::promote_tiles, p.key_tiles); j < stop; ++j) {
        scale[0] = c.query_scale[0] * key_scale;
        scale[1] = c.query_scale[1] * key_scale;
        if (j + 1 < p.key_tiles) key_scale = key_scales[4 * (j + 1)];
        c.start_scores();
        wait(&barriers.stage[turn.stage].full, turn.parity);
        fence_registers();
        c.issue_scores(turn.stage);
        c.issue_values(before);
        wait_for_products<1>();
        const bool moved = c.move_maximum(scale, correction);
        wait_for_products<0>();
        if (thread == 0) arrive(&barriers.stage[before].empty);
        c.weigh(scale);
        if (moved) c.multiply_output(correction);
        before = turn.stage;
        turn.next();
      }
      sums.take(c.output, c.maximum);
    }
    if (thread == 0) arrive(&barriers.queries.empty);
    fence_registers();
    c.issue_values(before);
    wait_for_products<0>();
    if (thread == 0) arrive(&barriers.stage[before].empty);
    sums.add_to(c.output, c.maximum);
    write_rows<dim>(p.call, place, query, lane % 4, c.output, c.maximum);
  }
}

template <int dim, class Tuning>
__global__ void __launch_bounds__(Layout<dim, Tuning>::threads, 1)
    attention_kernel(const __grid_constant__ Parameters p) {
  using L = Layout<dim, Tuning>;
  extern __shared__ __align__(1024) std::uint8_t shared[];
  auto& barriers = *reinterpret_cast<Barriers<Tuning::stages>*>(shared + L::barriers_at);
  if (threadIdx.x == 0) {
    const auto start = [](StageBarriers& stage) {
      init(&stage.full, 1);
      init(&stage.empty, Tuning::consumers);
    };
    for (StageBarriers& stage : barriers.stage) start(stage);
    start(barriers.queries);
    for (int i = 0; i < 4; ++i) reinterpret_cast<float*>(shared + L::bases_at)[i] = Scores<Tuning::product>::base;
    fence_init();
  }
  __syncthreads();
  if (threadIdx.x < warpgroup) {
    keep_registers<24>();
    if (threadIdx.x == 0) produce<dim, Tuning>(p, shared, barriers);
  } else {
    take_registers<L::consumer_registers>();
    consume<dim, Tuning>(p, shared, barriers);
  }
}

}  // namespace bitreel::cuda::sm90
