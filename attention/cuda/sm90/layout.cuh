// What the warp-specialised kernel is made of: its shape, its shared memory, its ring of stages and its parameters.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "attention/cuda/packed.h"
#include "attention/cuda/sm90/copies.cuh"
#include "attention/cuda/sm90/scores.cuh"

namespace bitreel::cuda::sm90 {

inline constexpr int warpgroup = 128;
inline constexpr int rows_of_warpgroup = 64;
inline constexpr int tile_keys = block_tokens;

// What is fixed when a kernel is compiled.
template <int consumers_, int stages_, int lines_, int promote_tiles_, Product product_>
struct Tuning {
  static constexpr int consumers = consumers_;          // warpgroups of 64 queries
  static constexpr int stages = stages_;                // of the ring of keys and values
  static constexpr int lines = lines_;                  // of 8 pairs of weights, how many go by lines (exponent.cuh)
  static constexpr int promote_tiles = promote_tiles_;  // after so many, tensor cores' sums go to fp32 (sums.cuh)
  static constexpr Product product = product_;          // of queries and keys (scores.cuh)
};

template <int dim, class Tuning>
struct Layout {
  static constexpr int rows = Tuning::consumers * rows_of_warpgroup;
  static constexpr int value_rows = dim + extra_rows;
  static constexpr int output_registers = value_rows / 2;
  static constexpr int threads = (Tuning::consumers + 1) * warpgroup;
  // 65536 in all; the copying warpgroup keeps 24 a thread.
  static constexpr int consumer_registers = Tuning::consumers == 3 ? 160 : 240;
  static constexpr int query_bytes = rows * dim;
  static constexpr int key_bytes = tile_keys * dim;
  static constexpr int value_bytes = tile_keys * value_rows;
  static constexpr int sums_bytes = Tuning::consumers * warpgroup * output_registers * int{sizeof(float)};

  // In shared memory, queries first; tiles start at multiples of 1024 bytes, over which TMA's swizzle repeats.
  static constexpr int keys_at = query_bytes;
  static constexpr int values_at = keys_at + Tuning::stages * key_bytes;
  static constexpr int sums_at = values_at + Tuning::stages * value_bytes;
  static constexpr int barriers_at = sums_at + sums_bytes;
  static constexpr int bases_at = barriers_at + 2 * (Tuning::stages + 1) * int{sizeof(Barrier)};  // of four scores
  static constexpr int bytes = bases_at + 4 * int{sizeof(float)};
  static_assert(bases_at % 16 == 0);
  static_assert(query_bytes % 1024 == 0 && key_bytes % 1024 == 0 && value_bytes % 1024 == 0);
};

struct Parameters {
  CUtensorMap queries, keys, values;
  PackedCall call;
  int query_tiles;  // of one head
  int tiles;        // of all heads
  int key_tiles;
};

// Of a stage, which holds a tile's keys and its values, or of the queries.
struct StageBarriers {
  Barrier full, empty;
};

template <int stages>
struct Barriers {
  StageBarriers stage[stages];
  StageBarriers queries;
};

// Stage and parity of a ring's next tile.
template <int stages>
struct Turn {
  int stage = 0;
  std::uint32_t parity = 0;

  __device__ __forceinline__ void next() {
    if (++stage == stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// Tiles of queries are numbered head by head: the blocks at work share few heads' keys and values, which stay in L2.
struct Place {
  int head, key_head, first_query;  // heads are numbered over all batches

  __device__ __forceinline__ Place(const Parameters& p, int tile, int rows) {
    head = p.call.first_head + tile / p.query_tiles;
    key_head = head / (p.call.query_heads / p.call.key_heads);
    first_query = tile % p.query_tiles * rows;
  }
};

}  // namespace bitreel::cuda::sm90
