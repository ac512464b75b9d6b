// One block of up to 128 queries against a whole head: quantized, then for each block of keys scores, softmax, values.
//
//   return KernelsOf<L, Serial<L, ScalarProducts<L>>>::table;   // all that a unit offers
//
// Compiled once for each instruction set: what is here is static, or a template over the unit's own Lanes, so that no
// unit takes another's code (kernels.h).
#pragma once

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "attention/cpu/pack.h"
#include "attention/cpu/softmax.h"

namespace bitreel::cpu {

// The rows as fp32, times the sign of the scale, and amax of each; NaN and infinity become rows of zeros that are
// `lost`.
template <std::int64_t D>
static inline void load_queries(const Queries& queries, const Head& head, const Recipe& recipe, Workspace& work,
                                float (&amax)[query_block]) {
  const float sign = queries.scale < 0 ? -1.0f : 1.0f;
  for (std::int64_t r = 0; r < query_block; ++r) {
    float* row = work.rows + r * D;
    if (r + rows_ahead < queries.count) prefetch_row(queries.q, r + rows_ahead, queries.dim);
    if (r < queries.count) load_row<D>(queries.q, r, queries.dim, row);
    amax[r] = r < queries.count ? amax_of<D>(row) : 0;
    work.lost[r] = is_finite(amax[r]) == 0 ? 1 : 0;
    if (r >= queries.count || work.lost[r] != 0) {
      for (std::int64_t c = 0; c < D; ++c) row[c] = 0;
      amax[r] = 0;
    }
    if (sign < 0) {
      for (std::int64_t c = 0; c < D; ++c) row[c] = -row[c];
    }
    if (queries.log_sum_exp == nullptr) continue;
    double shift = 0;
    for (std::int64_t c = 0; c < D; ++c) shift += static_cast<double>(row[c]) * static_cast<double>(head.key_mean[c]);
    work.log_sum_exp_shift[r] = shift * sign * queries.scale;
  }
  for (std::int64_t c = 0; c < D; ++c) work.query_mean[c] = 0;
  if (recipe.smooth_q == Smoothing::off) return;
  double sums[D] = {};
  for (std::int64_t r = 0; r < queries.count; ++r) {
    for (std::int64_t c = 0; c < D; ++c) sums[c] += static_cast<double>(work.rows[r * D + c]);
  }
  for (std::int64_t c = 0; c < D; ++c)
    work.query_mean[c] = static_cast<float>(sums[c] / static_cast<double>(queries.count));
  for (std::int64_t r = 0; r < queries.count; ++r) {
    float* row = work.rows + r * D;
    for (std::int64_t c = 0; c < D; ++c) row[c] -= work.query_mean[c];
    amax[r] = amax_of<D>(row);
  }
}

// Scores are at most so many log2 units, so that differences of them are fp32.
constexpr float largest_score = 1e37f;
// Beyond so many log2 units, 1/7 of one would get lost in the rounding of one multiplication and addition.
constexpr float largest_of_strips = 0x1p17f;

// In log2 units, from those of one unit of an integer score.
template <std::int64_t D>
static inline float largest_score_of(const Recipe& recipe, float factor) {
  const float levels = levels_of(recipe.qk);
  return factor * (levels * levels * static_cast<float>(D));
}

// [16 queries][D] to [D / 4][16 queries][4].
template <class L, std::int64_t D>
inline void pack_queries(const std::uint8_t (*bytes)[D], std::uint8_t* packed) {
  for (std::int64_t c = 0; c < D; c += key_tile) {
    typename L::F quads[tile];
    for (std::int64_t i = 0; i < tile; ++i) quads[i] = load_bits<L>(bytes[i] + c);
    L::transpose(quads);
    for (std::int64_t i = 0; i < tile; ++i) store_bits<L>(quads[i], packed + (c + i * 4) * tile);
  }
}

template <class L, class Products, std::int64_t D>
void quantize_queries(const Queries& queries, const Head& head, const Recipe& recipe, Workspace& work) {
  const float levels = levels_of(recipe.qk);
  const double scale = (queries.scale < 0 ? -queries.scale : queries.scale) * log2e;
  float amax[query_block], inverse[query_block], largest_factor = 0;
  load_queries<D>(queries, head, recipe, work, amax);
  share_amax(recipe.q_scales, Side::query, query_block, amax);
  for (std::int64_t r = 0; r < query_block; ++r) {
    const float largest = amax[r] > least_amax ? amax[r] : least_amax;
    const float factor = largest / levels * static_cast<float>(scale);
    const bool fits = largest_score_of<D>(recipe, factor * head.largest_key_scale) <= largest_score;
    inverse[r] = levels / largest;
    work.q_factors[r] = fits ? factor : 0;
    work.lost[r] |= fits ? 0 : 1;
  }
  for (const float factor : work.q_factors) largest_factor = factor > largest_factor ? factor : largest_factor;
  alignas(64) std::uint8_t bytes[tile][D];
  for (std::int64_t r = 0; r < query_block; ++r) {
    for (std::int64_t c = 0; c < D; ++c) {
      bytes[r % tile][c] = Products::stored_query(rounded(work.rows[r * D + c] * inverse[r]));
    }
    if (r % tile == tile - 1) pack_queries<L, D>(bytes, work.q[r / tile]);
    const std::int64_t last = queries.count - 1;
    work.seen[r] = queries.seen[r < last ? r : last];
  }
  work.largest_factor = largest_factor * head.largest_key_scale;
}

// mean(q) . k' in log2 units for `keys` keys from `first` on; 0 when one of them leaves fp32.
template <class L, std::int64_t D>
inline int bias_of(const Queries& queries, const Head& head, std::int64_t first, std::int64_t keys, Workspace& work) {
  using F = typename L::F;
  const F scale = L::broadcast(static_cast<float>((queries.scale < 0 ? -queries.scale : queries.scale) * log2e));
  F largest = L::broadcast(0.0f), lost = L::broadcast(0.0f);
  for (std::int64_t strip = 0; strip < keys; strip += tile) {
    const float* k = head.smoothed_keys + (first + strip) * D;
    F sum = L::broadcast(0.0f);
    for (std::int64_t c = 0; c < D; ++c)
      sum = L::multiply_add(L::load(k + c * tile), L::broadcast(work.query_mean[c]), sum);
    sum = L::multiply(sum, scale);
    L::store(sum, work.bias + strip);
    largest = L::max(largest, L::max(sum, L::subtract(L::broadcast(0.0f), sum)));
    lost = L::multiply_add(sum, L::broadcast(0.0f), lost);  // NaN from infinity or NaN on
  }
  alignas(64) float magnitudes[tile];
  L::store(L::add(largest, lost), magnitudes);
  return amax_of<tile>(magnitudes) <= largest_score ? 1 : 0;
}

static inline void fill_table(const Recipe& recipe, std::uint8_t* table) {
  for (std::int64_t i = 0; i < 63; ++i) {
    table[i] = static_cast<std::uint8_t>(__builtin_nearbyint(recipe.p_levels * __builtin_exp2(-i / 7.0)));
  }
  table[63] = 0;
}

// Outputs as rows, and log-sum-exp.
template <class L, std::int64_t D>
inline void finish(const Queries& queries, const Head& head, const Recipe& recipe, Workspace& work) {
  using F = typename L::F;
  for (std::int64_t t = 0; t * tile < queries.count; ++t) {
    const F inverse = L::divide(L::broadcast(1.0f), L::load(work.l[t]));
    for (std::int64_t channel = 0; channel < D; channel += tile) {
      F values[tile];
      for (std::int64_t i = 0; i < tile; ++i) {
        const std::int64_t c = channel + i;
        const F mean_of_integers = L::multiply(L::load(work.o[t][c]), inverse);
        values[i] =
            L::multiply_add(mean_of_integers, L::broadcast(head.value_scales[c]), L::broadcast(head.value_mean[c]));
      }
      L::transpose(values);
      for (std::int64_t i = 0; i < tile; ++i) L::store(values[i], work.rows + (t * tile + i) * D + channel);
    }
  }
  for (std::int64_t r = 0; r < queries.count; ++r) {
    const float m = work.m[r / tile][r % tile], l = work.l[r / tile][r % tile];
    const bool lost = head.finite == 0 || work.lost[r] != 0, alone = queries.seen[r] == 0;
    float* row = work.rows + r * D;
    if (lost || alone) {
      for (std::int64_t c = 0; c < queries.dim; ++c) row[c] = lost ? __builtin_nanf("") : 0.0f;
    }
    store_row(row, queries.dim, queries.q.element, r * queries.out_stride, queries.out);
    if (queries.log_sum_exp == nullptr) continue;
    const double sum = (static_cast<double>(m) + __builtin_log2(static_cast<double>(l) / recipe.p_levels)) * ln2;
    const float value = alone ? -__builtin_inff() : static_cast<float>(sum + work.log_sum_exp_shift[r]);
    queries.log_sum_exp[r * queries.log_sum_exp_stride] = lost ? __builtin_nanf("") : value;
  }
}

// What there is to do in a pass: tiles of queries against one block of keys after the other.
template <class Products>
inline std::int64_t list_items(const Queries& queries, std::int64_t pass, std::int64_t end, std::int64_t key_block,
                               const Workspace& work, Item* items) {
  std::int64_t count = 0;
  for (std::int64_t t = 0; t * tile < queries.count; t += Products::tiles_of_item) {
    for (std::int64_t first = pass; first < end; first += key_block) {
      if (first >= work.seen[(t + Products::tiles_of_item) * tile - 1]) break;  // the last query sees most
      items[count++] = {t, first, first - pass, end - first < key_block ? end - first : key_block};
    }
  }
  return count;
}

template <class Products, std::int64_t D, class Scores>
inline auto attend_items_of(Exponential kind) {
  if (kind == Exponential::table) return Products::template attend_items<D, Scores, Exponential::table>;
  return Products::template attend_items<D, Scores, Exponential::exact>;
}

template <class L, class Products, std::int64_t D>
void attend_block(const Queries& queries, const Head& head, const Recipe& recipe, Workspace& work) {
  for (std::int64_t t = 0; t < tiles_of_block; ++t) {
    for (std::int64_t i = 0; i < tile; ++i) {
      work.m[t][i] = no_key;
      work.l[t][i] = 0;
    }
    for (std::int64_t c = 0; c < D; ++c) L::store(L::broadcast(0.0f), work.o[t][c]);
  }
  fill_table(recipe, work.table);
  const bool by_strip = recipe.smooth_q == Smoothing::off && recipe.k_scales != Granularity::token &&
                        recipe.k_scales != Granularity::thread &&
                        largest_score_of<D>(recipe, work.largest_factor) < largest_of_strips;
  auto attend_to = attend_items_of<Products, D, KeyScores<L>>(recipe.exponential);
  if (by_strip) attend_to = attend_items_of<Products, D, StripScores<L>>(recipe.exponential);
  for (float& x : work.bias) x = 0;
  int biased = 1;
  const std::int64_t padded = head.finite != 0 ? head.padded : 0;
  const std::int64_t pass_keys = recipe.key_block > Products::keys_of_pass ? recipe.key_block : Products::keys_of_pass;
  for (std::int64_t pass = 0; pass < padded; pass += pass_keys) {
    const std::int64_t end = pass + pass_keys < padded ? pass + pass_keys : padded;
    Products::template begin_pass<D>(head, pass, end - pass, work);
    if (recipe.smooth_q == Smoothing::on) biased &= bias_of<L, D>(queries, head, pass, end - pass, work);
    Item items[tiles_of_block / Products::tiles_of_item * (Products::keys_of_pass / key_tile)];
    const std::int64_t count = list_items<Products>(queries, pass, end, recipe.key_block, work, items);
    if (count > 0) attend_to(head, items, count, recipe, work);
  }
  if (biased == 0) {
    for (std::uint8_t& lost : work.lost) lost = 1;
  }
  finish<L, D>(queries, head, recipe, work);
}

// What a unit offers.
template <class L, class Products>
struct KernelsOf {
  static void pack(const KeysAndValues& source, const Recipe& recipe, Head& head) {
    source.dim <= 64 ? pack_head<L, 64>(source, recipe, head) : pack_head<L, 128>(source, recipe, head);
  }
  static void quantize(const Queries& queries, const Head& head, const Recipe& recipe, Workspace& work) {
    queries.dim <= 64 ? quantize_queries<L, Products, 64>(queries, head, recipe, work)
                      : quantize_queries<L, Products, 128>(queries, head, recipe, work);
  }
  static void attend(const Queries& queries, const Head& head, const Recipe& recipe, Workspace& work) {
    queries.dim <= 64 ? attend_block<L, Products, 64>(queries, head, recipe, work)
                      : attend_block<L, Products, 128>(queries, head, recipe, work);
  }
  static constexpr Kernels table = {pack, quantize, attend, Products::enter, Products::leave, Products::spin};
};

}  // namespace bitreel::cpu
