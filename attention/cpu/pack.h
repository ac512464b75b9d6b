// From rows to integers and scales (recipe.h has the arithmetic), in the layouts of kernels.h.
// Compiled once for each instruction set: what is here is static, or a template over the unit's own Lanes, so that no
// unit takes another's code (kernels.h).
#pragma once

#include <cstdint>

#include "attention/cpu/elements.h"
#include "attention/cpu/kernels.h"

namespace bitreel::cpu {

constexpr float least_amax = 1e-30f;
constexpr float largest_float = 3.402823466e+38f;

static inline float levels_of(QkFormat format) {
  return format == QkFormat::int8 ? 127.0f : 7.0f;
}

// To the nearest integer, ties to even, for magnitudes below 2^22: beyond 1.5 * 2^23 floats are whole numbers.
static inline std::int32_t rounded(float x) {
  constexpr float whole = 12582912.0f;
  return __builtin_bit_cast(std::int32_t, x + whole) - __builtin_bit_cast(std::int32_t, whole);
}

// Magnitudes compare as these do, and NaN is more than infinity.
static inline std::uint32_t magnitude_bits(float x) {
  return __builtin_bit_cast(std::uint32_t, x) & 0x7fffffffu;
}

template <std::int64_t D>
static inline float amax_of(const float* row) {
  std::uint32_t largest = 0;
  for (std::int64_t c = 0; c < D; ++c) {
    const std::uint32_t bits = magnitude_bits(row[c]);
    largest = bits > largest ? bits : largest;
  }
  return __builtin_bit_cast(float, largest);
}

static inline int is_finite(float amax) {
  return amax <= largest_float ? 1 : 0;
}

// 16 times 32 bits of anything.
template <class L>
inline typename L::F load_bits(const void* from) {
  return L::load(static_cast<const float*>(from));
}
template <class L>
inline void store_bits(typename L::F a, void* to) {
  L::store(a, static_cast<float*>(to));
}

enum class Side { query, key };

// Which of a block's scales (128 queries, 64 keys) a row uses.
static inline int group_of(Granularity granularity, Side side, std::int64_t row) {
  switch (granularity) {
    case Granularity::block:
      return 0;
    case Granularity::warp:
      return side == Side::query ? row / 32 : 0;
    case Granularity::thread:
      return side == Side::query ? row / 32 * 8 + row % 8 : row / 2 % 4;
    case Granularity::strip:
      return row / tile;
    case Granularity::warpgroup:  // of 128 keys: cpu_backend.cpp refuses them
    case Granularity::token:
      break;
  }
  return row;
}

// amax of each row's group, from those of the rows.
static inline void share_amax(Granularity granularity, Side side, std::int64_t rows, float* amax) {
  if (granularity == Granularity::token) return;
  float of_group[query_block] = {};
  for (std::int64_t r = 0; r < rows; ++r) {
    float& group = of_group[group_of(granularity, side, r)];
    group = amax[r] > group ? amax[r] : group;
  }
  for (std::int64_t r = 0; r < rows; ++r) amax[r] = of_group[group_of(granularity, side, r)];
}

static inline std::int64_t index_of(const KeysAndValues& source, std::int64_t key) {
  return source.kept == nullptr ? key : source.kept[key];
}

template <std::int64_t D>
static inline void load_key(const Rows& rows, const KeysAndValues& source, std::int64_t key, float* row) {
  if (key + rows_ahead < source.count) prefetch_row(rows, index_of(source, key + rows_ahead), source.dim);
  load_row<D>(rows, index_of(source, key), source.dim, row);
}

// Of the first `run` rows of each `sample_period`.
template <std::int64_t D>
static inline void mean_of(const Rows& rows, const KeysAndValues& source, std::int64_t run, float* mean) {
  double sums[D] = {};
  float row[D];
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < source.count; ++i) {
    if (i % sample_period >= run) continue;
    load_key<D>(rows, source, i, row);
    for (std::int64_t c = 0; c < D; ++c) sums[c] += static_cast<double>(row[c]);
    ++count;
  }
  for (std::int64_t c = 0; c < D; ++c) mean[c] = static_cast<float>(sums[c] / static_cast<double>(count));
}

// Rows [first, first + 64) less their mean; zeros beyond the last and beyond dim.
template <std::int64_t D>
static inline void load_block(const Rows& rows, const KeysAndValues& source, const float* mean, std::int64_t first,
                              float (*block)[D]) {
  for (std::int64_t r = 0; r < key_tile; ++r) {
    float* row = block[r];
    if (first + r < source.count) {
      load_key<D>(rows, source, first + r, row);
      for (std::int64_t c = 0; c < D; ++c) row[c] -= mean[c];
    } else {
      for (std::int64_t c = 0; c < D; ++c) row[c] = 0;
    }
  }
}

template <std::int64_t D>
static inline void pack_key_block(const float (*block)[D], std::int64_t first, const Recipe& recipe, Head& head) {
  const float levels = levels_of(recipe.qk);
  float amax[key_tile];
  for (std::int64_t r = 0; r < key_tile; ++r) {
    amax[r] = amax_of<D>(block[r]);
    head.finite &= is_finite(amax[r]);
  }
  share_amax(recipe.k_scales, Side::key, key_tile, amax);
  for (std::int64_t r = 0; r < key_tile; ++r) {
    const float largest = amax[r] > least_amax ? amax[r] : least_amax, inverse = levels / largest;
    std::int8_t* key = head.keys + (first + r) * D;
    std::int32_t sum = 0;
    for (std::int64_t c = 0; c < D; ++c) {
      key[c] = static_cast<std::int8_t>(rounded(block[r][c] * inverse));
      sum += key[c];
    }
    const float scale = largest / levels;
    head.key_offsets[first + r] = -128 * sum;
    head.key_scales[first + r] = scale;
    head.largest_key_scale = scale > head.largest_key_scale ? scale : head.largest_key_scale;
  }
  if (head.smoothed_keys == nullptr) return;
  for (std::int64_t r = 0; r < key_tile; ++r) {
    float* strip = head.smoothed_keys + (first + r) / tile * (D * tile) + r % tile;
    for (std::int64_t c = 0; c < D; ++c) strip[c * tile] = block[r][c];
  }
}

template <class L, std::int64_t D>
inline void pack_value_block(const float (*block)[D], const float* inverse, std::int64_t first, Head& head) {
  alignas(64) std::int32_t quads[key_tile / 4][D];  // four keys' bytes of each channel
  for (std::int64_t quad = 0; quad < key_tile / 4; ++quad) {
    const float(*rows)[D] = block + quad * 4;
    for (std::int64_t c = 0; c < D; ++c) {
      std::int32_t bytes = 0;
      for (std::int64_t j = 0; j < 4; ++j) bytes |= (rounded(rows[j][c] * inverse[c]) & 255) << (8 * j);
      quads[quad][c] = bytes;
    }
  }
  for (std::int64_t c = 0; c < D; c += tile) {
    typename L::F channels[tile];
    for (std::int64_t quad = 0; quad < tile; ++quad) channels[quad] = load_bits<L>(quads[quad] + c);
    L::transpose(channels);
    std::int8_t* to = head.values + first * D + c * key_tile;
    for (std::int64_t i = 0; i < tile; ++i) store_bits<L>(channels[i], to + i * key_tile);
  }
}

template <class L, std::int64_t D>
void pack_head(const KeysAndValues& source, const Recipe& recipe, Head& head) {
  alignas(64) float block[key_tile][D];
  for (std::int64_t c = 0; c < largest_dim; ++c) head.key_mean[c] = head.value_mean[c] = head.value_scales[c] = 0;
  head.largest_key_scale = 0;
  head.finite = 1;
  if (source.count == 0) return;

  if (recipe.smooth_k == Smoothing::on) mean_of<D>(source.k, source, run_of_mean(recipe), head.key_mean);
  for (std::int64_t first = 0; first < head.padded; first += key_tile) {
    load_block<D>(source.k, source, head.key_mean, first, block);
    pack_key_block<D>(block, first, recipe, head);
  }

  if (recipe.smooth_v == Smoothing::on) mean_of<D>(source.v, source, sample_period, head.value_mean);
  std::uint32_t amax_bits[D] = {};
  for (std::int64_t first = 0; first < head.padded; first += key_tile) {
    load_block<D>(source.v, source, head.value_mean, first, block);
    for (std::int64_t r = 0; r < key_tile; ++r) {
      for (std::int64_t c = 0; c < D; ++c) {
        const std::uint32_t bits = magnitude_bits(block[r][c]);
        amax_bits[c] = bits > amax_bits[c] ? bits : amax_bits[c];
      }
    }
  }
  float inverse[D];
  for (std::int64_t c = 0; c < D; ++c) {
    const float amax = __builtin_bit_cast(float, amax_bits[c]), largest = amax > least_amax ? amax : least_amax;
    head.finite &= is_finite(amax);
    inverse[c] = 127.0f / largest;
    head.value_scales[c] = largest / 127.0f;
  }
  for (std::int64_t first = 0; first < head.padded; first += key_tile) {
    load_block<D>(source.v, source, head.value_mean, first, block);
    pack_value_block<L, D>(block, inverse, first, head);
  }
}

}  // namespace bitreel::cpu
