// The two matrix products with AMX, for two tiles of queries at a time: a tile of keys or values, once loaded, is
// multiplied twice. Of a block of keys first come the powers, between which the scores of the next block are computed
// strip by strip, where those lay that were used; then the values, between which their sums are merged. Keys and
// values are first operands as they lie in memory; packed queries and P are second ones. Registers: 0 and 1 sums, one
// for each tile of queries; 2 to 5 queries or P; 6 and 7 keys or values.
//
// Measured on Emerald Rapids: beside these instructions one port of two converts, multiplies and takes maxima, so that
// the softmax is what a strip takes, and products are hidden behind it; few tiles are renamed, so that loading them
// earlier or into more registers only delays; all of it takes twice as long while the core's second thread is at work.
#pragma once

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "attention/cpu/softmax.h"

namespace bitreel::cpu {

constexpr std::int64_t strip_size = tile * tile;

// Scores strip by strip: a strip is stored when the next is about to be multiplied, its maxima are taken one later.
template <class L, class Tiles, std::int64_t D>
class ScoreStream {
 public:
  ScoreStream(const Head& of, Workspace& workspace) : head(of), work(workspace) {}

  // Null when nothing follows.
  void begin(const Item* item) {
    key = 0;
    keys = item == nullptr ? -2 * tile : item->keys;  // then nothing is left to complete either
    if (item == nullptr) return;
    const std::uint8_t *first = work.q[item->tile], *second = work.q[item->tile + 1];
    Tiles::template load_tile<2>(first, 64);
    Tiles::template load_tile<3>(second, 64);
    if constexpr (D == 128) {
      Tiles::template load_tile<4>(first + strip_size * 4, 64);
      Tiles::template load_tile<5>(second + strip_size * 4, 64);
    }
    k = head.keys + item->first * D;
  }
  [[nodiscard, gnu::always_inline]] bool multiplies() const { return key < keys; }

  [[gnu::always_inline]] void load_keys() {
    if (!multiplies()) return;
    Tiles::template load_passing_tile<6>(k, D);
    if constexpr (D == 128) Tiles::template load_passing_tile<7>(k + 64, D);
    k += tile * D;
  }
  template <int Index>
  [[gnu::always_inline]] void multiply_keys() {
    if (key > 0 && key <= keys) Tiles::template store_tile<Index>(work.s[Index] + (key - tile) * tile);
    if (!multiplies()) return;
    Tiles::template zero_tile<Index>();
    Tiles::template multiply_signed<Index, 6, 2 + Index>();
    if constexpr (D == 128) Tiles::template multiply_signed<Index, 7, 4 + Index>();
  }
  template <int Index>
  [[gnu::always_inline]] void take_largest() {
    const std::int64_t stored = key - 2 * tile;
    if (stored < 0 || stored >= keys) return;
    const std::int32_t* s = work.s[Index] + stored * tile;
    typename L::I even = L::load(s), odd = L::load(s + tile);
#pragma GCC unroll 7
    for (std::int64_t i = 2; i < tile; i += 2) {
      even = L::max(even, L::load(s + i * tile));
      odd = L::max(odd, L::load(s + (i + 1) * tile));
    }
    L::store(L::max(even, odd), work.strip_max[Index][stored / tile]);
  }
  [[gnu::always_inline]] void go_on() {
    key += tile;
  }

  void complete() {
    for (; key < keys + 2 * tile; go_on()) {
      load_keys();
      multiply_keys<0>();
      multiply_keys<1>();
      take_largest<0>();
      take_largest<1>();
    }
  }

 private:
  const Head& head;
  Workspace& work;
  const std::int8_t* k = nullptr;
  std::int64_t key = 0, keys = 0;  // the next strip, and how many keys there are
};

// Powers of 16 keys and two tiles of queries, and the next scores between them.
template <class Powers, class Scores>
[[gnu::always_inline]] inline void weave(Powers& first, Powers& second, std::int64_t key, Scores& next) {
  first.strip(key);
  second.strip(key);
  next.load_keys();
  first.four_keys(key);
  first.four_keys(key + 4);
  next.template multiply_keys<0>();
  first.four_keys(key + 8);
  first.four_keys(key + 12);
  next.template multiply_keys<1>();
  second.four_keys(key);
  second.four_keys(key + 4);
  next.template take_largest<0>();
  second.four_keys(key + 8);
  second.four_keys(key + 12);
  next.template take_largest<1>();
  next.go_on();
}

// O = O alpha + P V beta for two tiles of queries, 16 channels at a time: sums are stored when the next are about to be
// multiplied, and merged one later.
template <class L, class Tiles, std::int64_t D>
class ValueStream {
 public:
  ValueStream(const Head& head, const Item& item, const Tile<L>& of_first, const Tile<L>& of_second, Workspace& work)
      : v(head.values + item.first * D), keys(item.keys), first(of_first), second(of_second), sums(work.sums) {}

  void complete() const {
    load_powers(0);
    for (std::int64_t channel = 0; channel < D; channel += tile) {
      if (channel > 0) store_sums(channel - tile);
      multiply_values(channel);
      if (channel > tile) merge_sums(channel - 2 * tile);
    }
    store_sums(D - tile);
    merge_sums(D - 2 * tile);
    merge_sums(D - tile);
  }

 private:
  // Those of 128 keys, or as many as there are.
  [[gnu::always_inline]] void load_powers(std::int64_t key) const {
    Tiles::template load_tile<2>(first.p + key * tile, 64);
    Tiles::template load_tile<3>(second.p + key * tile, 64);
    if (key + key_tile == keys) return;
    Tiles::template load_tile<4>(first.p + (key + key_tile) * tile, 64);
    Tiles::template load_tile<5>(second.p + (key + key_tile) * tile, 64);
  }
  [[gnu::always_inline]] void multiply_values(std::int64_t channel) const {
    const std::int8_t* of_channels = v + channel * key_tile;
    Tiles::template zero_tile<0>();
    Tiles::template zero_tile<1>();
    for (std::int64_t key = 0; key < keys; key += 2 * key_tile) {
      if (keys > 2 * key_tile) load_powers(key);
      Tiles::template load_passing_tile<6>(of_channels + key * D, key_tile);
      Tiles::template multiply_unsigned<0, 6, 2>();
      Tiles::template multiply_unsigned<1, 6, 3>();
      if (key + key_tile == keys) return;
      Tiles::template load_passing_tile<7>(of_channels + (key + key_tile) * D, key_tile);
      Tiles::template multiply_unsigned<0, 7, 4>();
      Tiles::template multiply_unsigned<1, 7, 5>();
    }
  }
  // Of two tiles; those of the channels before are still to be merged.
  [[nodiscard, gnu::always_inline]] std::int32_t* sums_of(std::int64_t channel) const {
    return sums + (channel / tile & 1) * (2 * strip_size);
  }
  [[gnu::always_inline]] void store_sums(std::int64_t channel) const {
    Tiles::template store_tile<0>(sums_of(channel));
    Tiles::template store_tile<1>(sums_of(channel) + strip_size);
  }
  [[gnu::always_inline]] void merge_sums(std::int64_t channel) const {
    merge(sums_of(channel), L::load(first.alpha), L::load(first.beta), first.o + channel * tile);
    merge(sums_of(channel) + strip_size, L::load(second.alpha), L::load(second.beta), second.o + channel * tile);
  }
  [[gnu::always_inline]] static void merge(const std::int32_t* from, typename L::F alpha, typename L::F beta,
                                           float* o) {
#pragma GCC unroll 16
    for (std::int64_t c = 0; c < strip_size; c += tile) {
      L::store(L::multiply_add(L::to_floats(L::load(from + c)), beta, L::multiply(L::load(o + c), alpha)), o + c);
    }
  }

  const std::int8_t* v;
  std::int64_t keys;
  const Tile<L>&first, &second;
  std::int32_t* sums;
};

// Tiles: the registers, AmxTiles or what stands in for them.
template <class L, class Tiles>
struct AmxProducts : Tiles {
  static constexpr std::int64_t tiles_of_item = 2;
  static constexpr std::int64_t keys_of_pass = largest_pass;  // which stay in the second cache for the other tiles

  static std::int64_t spin(std::int64_t rounds) {
    constexpr std::int64_t chains = 4;
    for (std::int64_t r = 0; r < rounds; ++r) {
      Tiles::template multiply_signed<0, 6, 7>();
      Tiles::template multiply_signed<1, 6, 7>();
      Tiles::template multiply_signed<2, 6, 7>();
      Tiles::template multiply_signed<3, 6, 7>();
    }
    return rounds * chains * 16 * 16 * 64 * 2;
  }

  static std::uint8_t stored_query(std::int32_t x) { return static_cast<std::uint8_t>(x); }

  template <std::int64_t D>
  static void begin_pass(const Head&, std::int64_t, std::int64_t, Workspace&) {}

  template <std::int64_t D, class Scores, Exponential kind>
  static void attend_items(const Head& head, const Item* items, std::int64_t count, const Recipe& recipe,
                           Workspace& work) {
    ScoreStream<L, Tiles, D> scores(head, work);
    scores.begin(items);
    scores.complete();
    for (const Item* item = items; item < items + count; ++item) {
      const Block block = block_of(*item, head, work);
      const Tile<L> first(work, item->tile, 0), second(work, item->tile + 1, 1);
      Softmax<L, Scores, kind> of_first(first, block, recipe, work.table), of_second(second, block, recipe, work.table);
      scores.begin(item + 1 < items + count ? item + 1 : nullptr);
      for (std::int64_t key = 0; key < block.keys; key += tile) weave(of_first, of_second, key, scores);
      of_first.finish();
      of_second.finish();
      scores.complete();
      ValueStream<L, Tiles, D>(head, *item, first, second, work).complete();
    }
  }
};

}  // namespace bitreel::cpu
