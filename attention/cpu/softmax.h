// From a block's integer scores to P's integers, and what merging it with the blocks before needs; 16 queries at once.
// Compiled once for each instruction set: what is here is static, or a template over the unit's own Lanes, so that no
// unit takes another's code (kernels.h).
#pragma once

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "attention/cpu/pack.h"

namespace bitreel::cpu {

struct Block {
  const float* key_scales;  // of its first key on
  const float* bias;        // added to the scores, in log2 units
  std::int64_t keys;        // a multiple of 64
  std::int64_t first;       // its first key
};

// One tile of queries or more, from `tile` on, and a block of keys.
struct Item {
  std::int64_t tile, first, first_of_pass, keys;
};

static inline Block block_of(const Item& item, const Head& head, const Workspace& work) {
  return {head.key_scales + item.first, work.bias + item.first_of_pass, item.keys, item.first};
}

// What a tile of queries has in the workspace. Of an item, each has its own slot for what lasts as long as it.
template <class L>
struct Tile {
  Tile(Workspace& work, std::int64_t index, std::int64_t slot)
      : m(work.m[index]),
        l(work.l[index]),
        o(work.o[index][0]),
        alpha(work.alpha[slot]),
        beta(work.beta[slot]),
        factors(work.q_factors + index * tile),
        seen(work.seen + index * tile),
        s(work.s[slot]),
        strip_max(work.strip_max[slot][0]),
        p(work.p[slot]) {}

  float *m, *l, *o, *alpha, *beta;
  const float* factors;
  const std::int32_t* seen;
  std::int32_t *s, *strip_max;
  std::uint8_t* p;

  // Whether all queries see a strip of 16 keys. Later ones see no fewer.
  [[nodiscard]] bool all_see(const Block& block, std::int64_t strip) const {
    return seen[0] >= block.first + strip + tile;
  }
};

constexpr float no_key = -largest_float;  // the maximum of no scores
constexpr double log2e = 1.4426950408889634;
constexpr double ln2 = 0.6931471805599453;

// 2^x for x <= 0, relative error 2e-7; 2^-126 below that. NaN stays NaN.
template <class L>
inline typename L::F exp2_of(typename L::F x) {
  using F = typename L::F;
  const F whole = L::broadcast(12582912.0f);
  const F bounded = L::max(L::broadcast(-126.0f), x);
  const F shifted = L::add(bounded, whole);  // the nearest integer in its low bits
  const F f = L::subtract(bounded, L::subtract(shifted, whole));
  F series = L::broadcast(0.0013264727f);
  series = L::multiply_add(series, f, L::broadcast(0.009671513f));
  series = L::multiply_add(series, f, L::broadcast(0.055507336f));
  series = L::multiply_add(series, f, L::broadcast(0.24022242f));
  series = L::multiply_add(series, f, L::broadcast(0.693147f));
  series = L::multiply_add(series, f, L::broadcast(1.0f));
  return L::add_exponent(series, shifted);
}

// Scores as they come: integers that share a scale 16 keys at a time.
template <class L>
struct StripScores {
  using F = typename L::F;
  F factor;
  Tile<L> t;
  Block block;

  StripScores(const Tile<L>& of, const Block& in) : factor(L::load(of.factors)), t(of), block(in) {}

  [[nodiscard]] F scale(std::int64_t key, float by) const {
    return L::multiply(L::multiply(factor, L::broadcast(block.key_scales[key])), L::broadcast(by));
  }
  [[nodiscard]] F largest_of_strip(std::int64_t strip) const {
    return L::multiply(L::to_floats(L::load(t.strip_max + strip)), scale(strip, 1.0f));
  }
  [[nodiscard]] F score(std::int64_t key) const {
    return L::multiply(L::to_floats(L::load(t.s + key * tile)), scale(key, 1.0f));
  }
  [[nodiscard]] static F offset(F base, float by, float from) {
    return L::multiply_add(base, L::broadcast(-by), L::broadcast(from));
  }
  // by * (score - base) + from in one rounding; the caller sees to it that scores are small enough for that.
  [[nodiscard]] F at(std::int64_t key, F scale, F offset, float) const {
    return L::multiply_add(L::to_floats(L::load(t.s + key * tile)), scale, offset);
  }
};

// With a scale and a bias for each key; scores replace the integers.
template <class L>
struct KeyScores {
  using F = typename L::F;
  F factor;
  Tile<L> t;
  Block block;
  float* s;

  KeyScores(const Tile<L>& of, const Block& in)
      : factor(L::load(of.factors)), t(of), block(in), s(reinterpret_cast<float*>(of.s)) {}

  [[nodiscard]] F score(std::int64_t key) const {
    const F integer = L::multiply(L::to_floats(L::load(t.s + key * tile)), factor);
    const F score = L::multiply_add(integer, L::broadcast(block.key_scales[key]), L::broadcast(block.bias[key]));
    L::store(score, s + key * tile);
    return score;
  }
  [[nodiscard]] F largest_of_strip(std::int64_t strip) const {
    F m = L::broadcast(no_key);
    for (std::int64_t key = strip; key < strip + tile; ++key) m = L::max(score(key), m);
    return m;
  }
  [[nodiscard]] F scale(int, float by) const { return L::broadcast(by); }
  [[nodiscard]] static F offset(F base, float, float) { return base; }
  // by * (score - base) + from, which is `from` for the maximum however large it is, and within what integers reach.
  [[nodiscard]] F at(std::int64_t key, F scale, F offset, float from) const {
    const F x = L::multiply_add(L::subtract(L::load(s + key * tile), offset), scale, L::broadcast(from));
    return L::min(L::broadcast(1e6f), x);
  }
};

// The largest score that each query sees. Takes copies: what a reference leads to is read again after every store,
// which takes AMX's kernel a tenth of its time.
template <class L, class Scores>
inline typename L::F largest(Tile<L> t, Block block) {
  using F = typename L::F;
  using I = typename L::I;
  const Scores scores(t, block);
  const I seen = L::load(t.seen);
  F m = L::broadcast(no_key);
  for (std::int64_t strip = 0; strip < block.keys; strip += tile) {
    if (t.all_see(block, strip)) {
      m = L::max(scores.largest_of_strip(strip), m);
      continue;
    }
    for (std::int64_t key = strip; key < strip + tile; ++key) {
      m = L::max(L::where_beyond(seen, block.first + key, scores.score(key), L::broadcast(no_key)), m);
    }
  }
  return m;
}

// 255 for each of four keys that a query sees, 0 for the others.
template <class L>
inline typename L::Bytes seen_of_four(typename L::I seen, std::int64_t key) {
  const auto all_or_nothing = [&](int j) {
    return L::to_integers(L::where_beyond(seen, key + j, L::broadcast(255.0f), L::broadcast(0.0f)));
  };
  return L::pack(all_or_nothing(0), all_or_nothing(1), all_or_nothing(2), all_or_nothing(3));
}

// P of a tile of queries and a block of keys, four keys at a time, whose maximum is known from the start. Brings m and
// l up to date, and leaves what merging needs in alpha and beta.
template <class L, class Scores, Exponential kind>
class Softmax {
  using F = typename L::F;
  using I = typename L::I;
  using Bytes = typename L::Bytes;

 public:
  [[gnu::always_inline]] Softmax(const Tile<L>& of, const Block& in, const Recipe& recipe, const std::uint8_t* powers)
      : t(of),
        block(in),
        scores(of, in),
        seen(L::load(of.seen)),
        table(L::load_table(powers)),
        levels(L::broadcast(static_cast<float>(recipe.p_levels))) {
    const F before = L::load(t.m);
    const F here = largest<L, Scores>(t, block);
    const F after = L::max(before, here);
    const bool of_block = recipe.maximum == Maximum::block;
    alpha = exp2_of<L>(L::subtract(before, after));
    beta = of_block ? exp2_of<L>(L::subtract(here, after)) : L::broadcast(1.0f);
    const F reference = of_block ? here : after;
    // Where a query sees no key, any base will do.
    offset =
        Scores::offset(L::where_equal(reference, L::broadcast(no_key), L::broadcast(0.0f), reference), factor, from);
    L::store(after, t.m);
    L::store(alpha, t.alpha);
    L::store(beta, t.beta);
  }

  [[gnu::always_inline]] void strip(std::int64_t first) {
    scale = scores.scale(first, factor);
    all = t.all_see(block, first);
  }
  // Of the strip's keys, from the block's `key` on.
  [[gnu::always_inline]] void four_keys(std::int64_t key) {
    Bytes p = L::pack(integers(key), integers(key + 1), integers(key + 2), integers(key + 3));
    if constexpr (kind == Exponential::table) p = L::look_up(table, p);
    if (!all) [[unlikely]]
      p = L::min(p, seen_of_four<L>(seen, block.first + key));
    L::store(p, t.p + key * tile);
    sum = L::add_bytes(sum, p);
  }

  void finish() const { L::store(L::multiply_add(L::to_floats(sum), beta, L::multiply(L::load(t.l), alpha)), t.l); }

 private:
  // Of the table, or P's.
  [[nodiscard, gnu::always_inline]] I integers(std::int64_t key) const {
    const F x = scores.at(key, scale, offset, from);
    if constexpr (kind == Exponential::table) return L::to_integers(x);
    return L::to_integers(L::multiply(exp2_of<L>(L::min(L::broadcast(0.0f), x)), levels));
  }

  // The table has 64 entries, picked by a byte's low bits: from 192 on, what is beyond the last saturates there.
  static constexpr float factor = kind == Exponential::table ? -7.0f : 1.0f;
  static constexpr float from = kind == Exponential::table ? 192.0f : 0.0f;
  Tile<L> t;
  Block block;
  Scores scores;
  I seen, sum = L::zeros();
  typename L::Table table;
  F levels, alpha, beta, offset, scale;
  bool all = true;
};

}  // namespace bitreel::cpu
