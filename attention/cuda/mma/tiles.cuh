// Tiles of queries, keys and values in shared memory and registers, and the products of integers: S of one tile.
#pragma once

#include "attention/cuda/instructions.cuh"
#include "attention/cuda/mma.h"

namespace bitreel::cuda::mma {

inline constexpr int threads = 128, tile_queries = 64;

// Where 16 bytes of a row of a tile lie in shared memory, so that eight rows' are in different banks.
template <int RowBytes>
__device__ int swizzled(int row, int chunk) {
  constexpr int chunks = RowBytes / 16, of_line = chunks < 8 ? chunks : 8;
  return row * RowBytes + (chunk ^ (row / (8 / of_line)) % of_line) * 16;
}

template <int Dim, Product product, bool four_bits, int Keys>
struct Geometry {
  static constexpr int tile_keys = Keys;
  static constexpr int key_bytes = four_bits ? Dim / 2 : Dim;
  static constexpr int value_bytes = product == Product::u8 || product == Product::e4m3 ? 1 : 2;
  static constexpr int keys_at = 0, values_at = keys_at + tile_keys * key_bytes;
  static constexpr int scales_at = values_at + Dim * tile_keys * value_bytes, bias_at = scales_at + tile_keys * 4;
  static constexpr int stage_bytes = bias_at + tile_keys * 4;
  static constexpr int stages = stage_bytes <= 17 * 1024 ? 3 : 2;
  static constexpr int queries_at = stages * stage_bytes;
  static constexpr int shared_bytes = queries_at + (Dim == 64 ? 0 : tile_queries * key_bytes);
};

// A step of the loop: one tile of keys, in the first or second pass over its block.
struct Step {
  int tile;
  bool first_of_block, last_of_block;  // of the pass
  bool scores_only;                    // the pass for the maximum
};

__device__ inline Step step_of(int step, int tiles, int tiles_of_block) {
  if (tiles_of_block == 1) return {step, true, true, false};
  const int block = step / (2 * tiles_of_block), within = step - block * 2 * tiles_of_block;
  const int here = min(tiles_of_block, tiles - block * tiles_of_block);
  const bool second = within >= here;
  const int tile = within - (second ? here : 0);
  return {block * tiles_of_block + tile, tile == 0, tile == here - 1, !second};
}

// The place of a CTA in the call.
struct Place {
  int batch, key_head, query_head;  // heads numbered over all batches
  int first_query;                  // of the CTA
  int count;                        // keys that count

  __device__ explicit Place(const PackedCall& call) {
    query_head = call.first_head + blockIdx.y;
    batch = query_head / call.query_heads;
    key_head = batch * call.key_heads + query_head % call.query_heads / (call.query_heads / call.key_heads);
    // Causal: the longest rows start first.
    first_query = (call.causal != 0 ? gridDim.x - 1 - blockIdx.x : blockIdx.x) * tile_queries;
    count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  }
  // How many keys, from the first, a query sees.
  __device__ int seen(const PackedCall& call, int query) const {
    if (call.causal == 0) return count;
    const int places = max(0, min(call.keys, min(query, call.queries - 1) + 1 + call.keys - call.queries));
    return call.keys_seen == nullptr ? places : call.keys_seen[std::int64_t{batch} * (call.keys + 1) + places];
  }
};

template <class G, int Dim>
__device__ void load_stage(const PackedCall& call, const Place& place, const Step& step, char* stage) {
  constexpr int tile_keys = G::tile_keys;
  const std::int64_t row_keys = padded(call.keys), first = std::int64_t{step.tile} * tile_keys;
  const auto* const keys = reinterpret_cast<const char*>(call.k) + (place.key_head * row_keys + first) * G::key_bytes;
  constexpr int key_chunks = G::key_bytes / 16;
#pragma unroll 1
  for (int i = threadIdx.x; i < tile_keys * key_chunks; i += threads) {
    copy_async(stage + G::keys_at + swizzled<G::key_bytes>(i / key_chunks, i % key_chunks), keys + i * 16);
  }
  if (threadIdx.x < tile_keys / 4) {
    copy_async(stage + G::scales_at + threadIdx.x * 16,
               call.k_scales + place.key_head * row_keys + first + threadIdx.x * 4);
  } else if (threadIdx.x < tile_keys / 2 && call.qk_bias != nullptr) {
    const std::int64_t blocks = padded(call.queries) / block_tokens;
    const std::int64_t row = (place.query_head - call.first_head) * blocks + place.first_query / block_tokens;
    const int at = threadIdx.x - tile_keys / 4;
    copy_async(stage + G::bias_at + at * 16, call.qk_bias + row * row_keys + first + at * 4);
  }
  if (step.scores_only) return;
  constexpr int value_row = tile_keys * G::value_bytes, value_chunks = value_row / 16;
  const auto* const values = static_cast<const char*>(call.v) +
                             (std::int64_t{place.key_head} * (Dim + extra_rows) * row_keys + first) * G::value_bytes;
#pragma unroll 1
  for (int i = threadIdx.x; i < Dim * value_chunks; i += threads) {
    const int row = i / value_chunks, chunk = i % value_chunks;
    copy_async(stage + G::values_at + swizzled<value_row>(row, chunk),
               values + row * row_keys * G::value_bytes + chunk * 16);
  }
}

// A warp's 16 queries, as the A operand of S: in registers, or in shared memory where an output of 128 channels leaves
// no room.
template <int Steps, bool in_registers>
struct QueryTile {
  static constexpr int row_bytes = Steps * 32;
  unsigned a[in_registers ? Steps : 1][4];
  const char* shared;

  // memory: 64 rows of the CTA's, when not in registers.
  __device__ void load(const std::int8_t* rows, char* memory) {
    const int lane = threadIdx.x % 32;
    if constexpr (in_registers) {
      const std::int8_t* const from = rows + lane / 4 * row_bytes + lane % 4 * 4;
#pragma unroll
      for (int step = 0; step < Steps; ++step) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          a[step][i] = *reinterpret_cast<const unsigned*>(from + i % 2 * 8 * row_bytes + step * 32 + i / 2 * 16);
        }
      }
    } else {
      char* const of_warp = memory + threadIdx.x / 32 * 16 * row_bytes;
      for (int i = lane; i < row_bytes; i += 32) {  // 16 rows of row_bytes / 16 pieces
        constexpr int chunks = row_bytes / 16;
        *reinterpret_cast<uint4*>(of_warp + swizzled<row_bytes>(i / chunks, i % chunks)) =
            reinterpret_cast<const uint4*>(rows)[i];
      }
      __syncwarp();
      shared = of_warp;
    }
  }
  __device__ void operand(int step, unsigned (&to)[4]) const {
    if constexpr (in_registers) {
#pragma unroll
      for (int i = 0; i < 4; ++i) to[i] = a[step][i];
    } else {
      const int lane = threadIdx.x % 32;
      load_tiles(to, shared + swizzled<row_bytes>(lane % 16, step * 2 + lane / 16));
    }
  }
};

// Products of integers of the warp's queries with a tile's keys: [key / 8][C's four].
template <bool four_bits, int Steps, bool in_registers, int Tiles>
__device__ void scores_of(const QueryTile<Steps, in_registers>& q, const char* keys, int (&s)[Tiles][4]) {
  constexpr int row_bytes = Steps * 32;
  const int lane = threadIdx.x % 32;
  const auto multiply = [](int(&c)[4], const unsigned(&a)[4], unsigned b0, unsigned b1) {
    if constexpr (four_bits) {
      mma_s4(c, a, b0, b1);
    } else {
      mma_s8(c, a, b0, b1);
    }
  };
#pragma unroll
  for (int n = 0; n < Tiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) s[n][i] = 0;
  }
  unsigned a[2][4], b[4];
  if constexpr (Steps == 1) {
    q.operand(0, a[0]);
#pragma unroll
    for (int n = 0; n < Tiles; n += 2) {
      load_tiles(b, keys + swizzled<row_bytes>(n * 8 + lane / 16 * 8 + lane % 8, lane / 8 % 2));
      multiply(s[n], a[0], b[0], b[1]);
      multiply(s[n + 1], a[0], b[2], b[3]);
    }
  } else {
#pragma unroll
    for (int step = 0; step < Steps; step += 2) {
      q.operand(step, a[0]);
      q.operand(step + 1, a[1]);
#pragma unroll
      for (int n = 0; n < Tiles; ++n) {
        load_tiles(b, keys + swizzled<row_bytes>(n * 8 + lane % 8, step * 2 + lane / 8));
        multiply(s[n], a[0], b[0], b[1]);
        multiply(s[n], a[1], b[2], b[3]);
      }
    }
  }
}

}  // namespace bitreel::cuda::mma
