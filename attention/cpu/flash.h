// What each instruction set provides for attention in fp32, and the layout that all of them share.
//
//   const FlashKernels& kernels = cpu_flash_avx512::kernels();
//   kernels.pack(keys_and_values, block, head);   // for each 128 keys of a (batch, key head)
//   kernels.attend(queries, head, work);          // for each 32 queries
//
// All of a head is packed before its queries are attended to; each of the two in any order, on any thread.
// No ATen here, and one translation unit for each instruction set, as kernels.h has it.
// Scores are computed transposed: a vector holds one key and 16 queries, so that maxima, sums and rescaling are
// vertical. Both products are then one: 8 rows of a panel, broadcast, times vectors of queries.
// The running maximum: FlashAttention-2, arXiv 2307.08691, section 3.1.
#pragma once

#include <cstdint>

#include "attention/cpu/kernels.h"

namespace bitreel::cpu {

inline constexpr std::int64_t flash_queries = 32;  // of a block: two vectors
inline constexpr std::int64_t flash_keys = 128;    // of a block, between two looks at the maximum
inline constexpr std::int64_t panel = 8;           // keys, or channels of V, side by side

// One (batch, key head) in fp32, packed.
struct FlashHead {
  float* keys;    // [keys / 8][D][8]
  float* values;  // [keys / 128][D / 8][128 keys][8]
  std::int64_t count;
  int dim;
};

// D as `values` has it.
constexpr std::int64_t whole_panels(std::int64_t dim) {
  return (dim + panel - 1) / panel * panel;
}

// One thread's memory.
struct alignas(64) FlashWorkspace {
  float rows[flash_queries][largest_dim];  // queries, later their outputs
  float q[largest_dim][flash_queries];     // times the logits' scale, in log2 units
  float s[flash_keys][flash_queries];      // scores, then weights
  float o[largest_dim][flash_queries];     // sums of weighted values
  float m[flash_queries], l[flash_queries];
  std::int32_t seen[flash_queries];
};

struct FlashKernels {
  void (*pack)(const KeysAndValues& source, std::int64_t block, const FlashHead& head);
  void (*attend)(const Queries& queries, const FlashHead& head, FlashWorkspace& work);
};

}  // namespace bitreel::cpu

namespace bitreel {

namespace cpu_flash_avx2 {
const cpu::FlashKernels& kernels();
}
namespace cpu_flash_avx512 {
const cpu::FlashKernels& kernels();
}

}  // namespace bitreel
