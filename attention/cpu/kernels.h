// What each instruction set provides for 8-bit attention on CPUs, and the packed formats that all of them share.
//
//   const Kernels& kernels = cpu_scalar::kernels();
//   kernels.pack(keys_and_values, recipe, head);           // once per (batch, key head)
//   kernels.quantize(queries, head, recipe, work);         // for each 128 queries; any order, any thread
//   kernels.attend(queries, head, recipe, work);
//
// No ATen here: pointers and strides, counted in elements. Each instruction set is one translation unit, compiled with
// its own flags: kernels_avx2.cpp puts together vectors (lanes_avx2.h), the two matrix products (products_avx2.h) and
// what is common to all (attend_block.h). All give the same bits; lanes_scalar.h says how.
// A linker keeps one copy of an inline function, whichever unit's: so that no processor gets another's instructions,
// what units share is static, or a template over a type of the unit's own, Unit. tests/attention checks that nothing
// else is left in them.
// Scores are computed transposed: a vector holds one key and 16 queries, so that maxima, scales, sums and rescaling are
// vertical and no operation ever adds across a vector.
#pragma once

#include <cstdint>

#include "attention/recipe.h"

namespace bitreel::cpu {

enum class Element { fp32, fp16, bf16 };

inline constexpr std::int64_t tile = 16;                // queries of a vector; keys of a strip
inline constexpr std::int64_t key_tile = 64;            // keys of a V tile, to which a head is padded
inline constexpr std::int64_t largest_key_block = 256;  // 255 * 127 * 256 < 2^24: sums of P V are exact even as floats
inline constexpr std::int64_t largest_pass = 8 * largest_key_block;  // keys that some kernels go through at a time
inline constexpr std::int64_t largest_dim = 128;                     // 128 * 127 * 128 < 2^24: so are scores
inline constexpr std::int64_t tiles_of_block = query_block / tile;

struct Rows {
  const void* data;
  std::int64_t stride;
  Element element;
};

struct KeysAndValues {
  Rows k, v;
  const std::int64_t* kept;  // the indices of the keys that count, in order; null when all do
  std::int64_t count;        // how many they are
  int dim;                   // as the caller has it; beyond it, up to 64 or 128, the packed rows are zeros
};

// One (batch, key head), quantized. `padded` keys: `count` rounded up to 64, those beyond are zeros.
struct Head {
  std::int64_t count, padded;
  std::int8_t* keys;            // [padded][D]
  std::int32_t* key_offsets;    // [padded] -128 * the sum of each key's integers: undoes queries stored as q + 128
  float* key_scales;            // [padded]
  float* smoothed_keys;         // [padded / 16][D][16] k' before quantization; null unless smooth_q
  std::int8_t* values;          // [padded / 64][D / 16][16 channels][64 keys]
  float key_mean[largest_dim];  // zeros without smooth_k
  float value_scales[largest_dim];
  float value_mean[largest_dim];  // zeros without smooth_v
  float largest_key_scale;
  int finite;  // 0 when a key or value that counts is NaN or infinite, or leaves fp32 when its mean is taken off
};

// Up to 128 queries that share one block of Q.
struct Queries {
  Rows q;
  std::int64_t count;
  int dim;
  double scale;              // of the logits
  const std::int32_t* seen;  // how many of the head's keys, from the first, each of them sees
  void* out;                 // rows of q's element
  std::int64_t out_stride;
  float* log_sum_exp;  // null when not asked for
  std::int64_t log_sum_exp_stride;
};

// One thread's memory. Vectors and tiles read and write whole cache lines of it: arrays are multiples of 64 bytes, and
// what is not comes last. Of what lasts as long as a block of keys there are two, for kernels that take two tiles at
// once.
struct alignas(64) Workspace {
  float rows[query_block * largest_dim];                   // [query][D]; queries, later their outputs
  std::uint8_t q[tiles_of_block][largest_dim * tile];      // [D / 4][16 queries][4]
  float o[tiles_of_block][largest_dim][tile];              // sums of P V, of integers
  float m[tiles_of_block][tile], l[tiles_of_block][tile];  // running maximum, sum of P's integers
  float q_factors[query_block];                            // q's scale * the logits' * log2(e)
  std::int32_t seen[query_block];
  std::int32_t s[2][largest_key_block * tile];                // [key][16 queries]; integers, or floats with their bits
  std::int32_t strip_max[2][largest_key_block / tile][tile];  // of 16 keys' integers
  std::uint8_t p[2][largest_key_block * tile];                // [key / 4][16 queries][4 keys]
  float alpha[2][tile], beta[2][tile];                        // what the sums so far and the block's are multiplied by
  float bias[largest_pass];                                   // mean(q block) . k', in log2 units
  float query_mean[largest_dim];
  double log_sum_exp_shift[query_block];                    // q . mean(k) * scale
  std::int32_t sums[4 * tile * tile];                       // P V of two tiles and 32 channels, stored from AMX's
  std::int16_t wide_keys[largest_key_block * largest_dim];  // for AVX2, which multiplies 16-bit integers
  std::int16_t wide_values[largest_key_block * largest_dim];
  std::uint8_t table[64];          // P's integer by sevenths of a log2 unit below the maximum
  std::uint8_t lost[query_block];  // rows that are NaN: because of their query, or logits beyond fp32
  float largest_factor;            // of q_factors, times the largest of the head's key scales
};

struct Kernels {
  void (*pack)(const KeysAndValues& source, const Recipe& recipe, Head& head);
  void (*quantize)(const Queries& queries, const Head& head, const Recipe& recipe, Workspace& work);
  void (*attend)(const Queries& queries, const Head& head, const Recipe& recipe, Workspace& work);
  void (*enter)();  // before a thread's first call to attend or spin
  void (*leave)();  // after its last
  // The instruction that sums products, `rounds` times as often as keeps it busy, on registers alone. Returns how many
  // multiplications and additions of integers that is.
  std::int64_t (*spin)(std::int64_t rounds);
};

}  // namespace bitreel::cpu

namespace bitreel {

namespace cpu_scalar {
const cpu::Kernels& kernels();
}
namespace cpu_avx2 {
const cpu::Kernels& kernels();
}
namespace cpu_avx_vnni {
const cpu::Kernels& kernels();
}
namespace cpu_avx512_vnni {
const cpu::Kernels& kernels();
}
namespace cpu_amx {
const cpu::Kernels& kernels();
}
namespace cpu_neon {
const cpu::Kernels& kernels();
}

}  // namespace bitreel
