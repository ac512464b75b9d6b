// Attention in fp32, one block of queries against a whole head: for each block of keys scores, weights, values.
//
//   return FlashKernelsOf<L, Panel>::table;   // all that a unit offers
//
// Panel::rows rows of Panel::vectors vectors of a product are held in registers.
//
// Compiled once for each instruction set: what is here is static, or a template over the unit's own Lanes, so that no
// unit takes another's code (kernels.h).
#pragma once

#include <cstdint>

#include "attention/cpu/flash.h"
#include "attention/cpu/pack.h"
#include "attention/cpu/softmax.h"

namespace bitreel::cpu {

constexpr std::int64_t vectors_of_block = flash_queries / tile;

// NaN as the processor makes it: exp2_of relies on its low bits.
static inline float plain(float x) {
  return x == x ? x : __builtin_nanf("");
}

// The last key stands in for those that its panel lacks: their scores are not looked at.
static inline void pack_keys(const KeysAndValues& source, std::int64_t block, const FlashHead& head) {
  const std::int64_t first = block * flash_keys, dim = head.dim, panels = whole_panels(dim) / panel;
  const std::int64_t keys = head.count - first < flash_keys ? head.count - first : flash_keys;
  float* const values = head.values + first * panels * panel;
  for (std::int64_t at = 0; at < keys; at += panel) {
    float k[panel][largest_dim], v[largest_dim];
    for (std::int64_t i = 0; i < panel; ++i) {
      const std::int64_t nth = first + (at + i < keys ? at + i : keys - 1);
      const std::int64_t index = index_of(source, nth);
      load_row<largest_dim>(source.k, index, source.dim, k[i]);
      load_row<largest_dim>(source.v, index, source.dim, v);
      for (std::int64_t p = 0; p < panels; ++p) {
        __builtin_memcpy(values + (p * flash_keys + at + i) * panel, v + p * panel, panel * sizeof(float));
      }
    }
    float* const packed = head.keys + (first + at) * dim;
    for (std::int64_t c = 0; c < dim; ++c) {
      for (std::int64_t i = 0; i < panel; ++i) packed[c * panel + i] = plain(k[i][c]);
    }
  }
}

// sums[r][v] += rows[i][r] * columns[i][v] over `inner` i; v counts vectors.
template <class L, class Panel>
inline void add_products(const float* rows, const float* columns, std::int64_t inner,
                         typename L::F (&sums)[Panel::rows][Panel::vectors]) {
#pragma GCC unroll 4  // less counting: it competes with the products for a core's front end
  for (std::int64_t i = 0; i < inner; ++i) {
    typename L::F column[Panel::vectors];
#pragma GCC unroll 8
    for (std::int64_t v = 0; v < Panel::vectors; ++v) column[v] = L::load(columns + i * flash_queries + v * tile);
#pragma GCC unroll 8
    for (std::int64_t r = 0; r < Panel::rows; ++r) {
      const typename L::F row = L::broadcast(rows[i * panel + r]);
#pragma GCC unroll 8
      for (std::int64_t v = 0; v < Panel::vectors; ++v) sums[r][v] = L::multiply_add(row, column[v], sums[r][v]);
    }
  }
}

struct Product {
  const float* rows;     // [inner][8]
  const float* columns;  // [inner][32]
  std::int64_t inner;
};

// out[8][32] becomes start(out, its vector) + rows^T columns.
template <class L, class Panel, class Start>
inline void multiply_panel(const Product& of, float* out, const Start& start) {
  for (std::int64_t r = 0; r < panel; r += Panel::rows) {
    for (std::int64_t v = 0; v < vectors_of_block; v += Panel::vectors) {
      typename L::F sums[Panel::rows][Panel::vectors];
      float* const to = out + r * flash_queries + v * tile;
#pragma GCC unroll 8
      for (std::int64_t i = 0; i < Panel::rows; ++i) {
#pragma GCC unroll 8
        for (std::int64_t j = 0; j < Panel::vectors; ++j) {
          sums[i][j] = start(L::load(to + i * flash_queries + j * tile), v + j);
        }
      }
      add_products<L, Panel>(of.rows + r, of.columns + v * tile, of.inner, sums);
#pragma GCC unroll 8
      for (std::int64_t i = 0; i < Panel::rows; ++i) {
#pragma GCC unroll 8
        for (std::int64_t j = 0; j < Panel::vectors; ++j) L::store(sums[i][j], to + i * flash_queries + j * tile);
      }
    }
  }
}

template <class L>
inline void load_block(const Queries& queries, FlashWorkspace& work) {
  const auto scale = static_cast<float>(queries.scale * log2e);
  const std::int64_t last = queries.count - 1;
  for (std::int64_t r = 0; r < flash_queries; ++r) {
    work.seen[r] = queries.seen[r < last ? r : last];
    work.m[r] = no_key;
    work.l[r] = 0;
    float* const row = work.rows[r];
    if (r <= last) {
      load_row<largest_dim>(queries.q, r, queries.dim, row);
      for (float& x : work.rows[r]) x = plain(x * scale);
    } else {
      for (float& x : work.rows[r]) x = 0;
    }
  }
  for (std::int64_t r = 0; r < flash_queries; r += tile) {
    for (std::int64_t channel = 0; channel < queries.dim; channel += tile) {
      typename L::F values[tile];
      for (std::int64_t i = 0; i < tile; ++i) values[i] = L::load(work.rows[r + i] + channel);
      L::transpose(values);
      for (std::int64_t i = 0; i < tile; ++i) {
        L::store(values[i], work.q[channel + i] + r);
        L::store(L::broadcast(0.0f), work.o[channel + i] + r);
      }
    }
  }
}

// Scores of keys [first, first + keys) become weights; m and l are brought up to date. Returns what the sums so far are
// to be multiplied by. The maximum passes over NaN, the weights keep it.
template <class L>
inline typename L::F weigh(std::int64_t vector, std::int64_t first, std::int64_t keys, FlashWorkspace& work) {
  using F = typename L::F;
  const std::int64_t lane = vector * tile;
  const typename L::I seen = L::load(work.seen + lane);
  const bool all = work.seen[lane] >= first + keys;  // later queries see no fewer
  const F before = L::load(work.m + lane);
  F after = before;
  for (std::int64_t key = 0; key < keys; ++key) {
    const F s = L::load(work.s[key] + lane);
    after = L::max(all ? s : L::where_beyond(seen, first + key, s, L::broadcast(no_key)), after);
  }
  const F alpha = exp2_of<L>(L::subtract(before, after));
  F sum = L::broadcast(0.0f);
  for (std::int64_t key = 0; key < keys; ++key) {
    F p = exp2_of<L>(L::subtract(L::load(work.s[key] + lane), after));
    if (!all) p = L::where_beyond(seen, first + key, p, L::broadcast(0.0f));
    L::store(p, work.s[key] + lane);
    sum = L::add(sum, p);
  }
  L::store(after, work.m + lane);
  L::store(L::multiply_add(L::load(work.l + lane), alpha, sum), work.l + lane);
  return alpha;
}

// Outputs as rows, and log-sum-exp. A query without keys gets zeros, one whose logits are all -infinity NaN.
template <class L>
inline void finish_block(const Queries& queries, FlashWorkspace& work) {
  for (std::int64_t r = 0; r < flash_queries; r += tile) {
    const typename L::F inverse = L::divide(L::broadcast(1.0f), L::load(work.l + r));
    for (std::int64_t channel = 0; channel < queries.dim; channel += tile) {
      typename L::F values[tile];
      for (std::int64_t i = 0; i < tile; ++i) values[i] = L::multiply(L::load(work.o[channel + i] + r), inverse);
      L::transpose(values);
      for (std::int64_t i = 0; i < tile; ++i) L::store(values[i], work.rows[r + i] + channel);
    }
  }
  for (std::int64_t r = 0; r < queries.count; ++r) {
    float* const row = work.rows[r];
    const bool alone = queries.seen[r] == 0, nothing = work.m[r] == no_key && work.l[r] == work.l[r];
    if (nothing) {
      for (std::int64_t c = 0; c < queries.dim; ++c) row[c] = alone ? 0.0f : __builtin_nanf("");
    }
    store_row(row, queries.dim, queries.q.element, r * queries.out_stride, queries.out);
    if (queries.log_sum_exp == nullptr) continue;
    const double sum = static_cast<double>(work.m[r]) + __builtin_log2(static_cast<double>(work.l[r]));
    queries.log_sum_exp[r * queries.log_sum_exp_stride] = nothing ? -__builtin_inff() : static_cast<float>(sum * ln2);
  }
}

template <class L, class Panel>
void attend_rows(const Queries& queries, const FlashHead& head, FlashWorkspace& work) {
  using F = typename L::F;
  load_block<L>(queries, work);
  const std::int64_t dim = head.dim, channels = whole_panels(dim), last_seen = work.seen[flash_queries - 1];
  for (std::int64_t first = 0; first < last_seen; first += flash_keys) {
    const std::int64_t keys = last_seen - first < flash_keys ? last_seen - first : flash_keys;
    for (std::int64_t key = 0; key < keys; key += panel) {
      multiply_panel<L, Panel>({head.keys + (first + key) * dim, work.q[0], dim}, work.s[key],
                               [](F, std::int64_t) { return L::broadcast(0.0f); });
    }
    F alpha[vectors_of_block];
    for (std::int64_t v = 0; v < vectors_of_block; ++v) alpha[v] = weigh<L>(v, first, keys, work);
    const float* const values = head.values + first * channels;
    for (std::int64_t c = 0; c < channels; c += panel) {
      multiply_panel<L, Panel>({values + c * flash_keys, work.s[0], keys}, work.o[c],
                               [&](F sum, std::int64_t v) { return L::multiply(sum, alpha[v]); });
    }
  }
  finish_block<L>(queries, work);
}

// What a unit offers.
template <class L, class Panel>
struct FlashKernelsOf {
  static void pack(const KeysAndValues& source, std::int64_t block, const FlashHead& head) {
    pack_keys(source, block, head);
  }
  static constexpr FlashKernels table = {pack, attend_rows<L, Panel>};
};

}  // namespace bitreel::cpu
