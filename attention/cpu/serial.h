// Items one after the other: scores, softmax, values. What all instruction sets do alike that compute on vectors alone.
//
//   using Work = Serial<L, ScalarProducts<L>>;   // the products, and the order in which they are done
#pragma once

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "attention/cpu/softmax.h"

namespace bitreel::cpu {

template <class L, class Products>
struct Serial : Products {
  static constexpr std::int64_t tiles_of_item = 1;        // of queries, that share an item
  static constexpr std::int64_t keys_of_pass = key_tile;  // that go by, in whole blocks, before the next keys' turn

  // Vector registers need no setting up.
  static void enter() {}
  static void leave() {}

  template <std::int64_t D, class Scores, Exponential kind>
  static void attend_items(const Head& head, const Item* items, std::int64_t count, const Recipe& recipe,
                           Workspace& work) {
    for (const Item* item = items; item < items + count; ++item) {
      const Block block = block_of(*item, head, work);
      const Tile<L> of(work, item->tile, 0);
      Products::template scores<D>(head, block, item->tile, work);
      Softmax<L, Scores, kind> softmax(of, block, recipe, work.table);
      for (std::int64_t strip = 0; strip < block.keys; strip += tile) {
        softmax.strip(strip);
        for (std::int64_t key = strip; key < strip + tile; key += 4) softmax.four_keys(key);
      }
      softmax.finish();
      Products::template merge_values<D>(head, block, item->tile, work);
    }
  }
};

}  // namespace bitreel::cpu
