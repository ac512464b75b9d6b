// The two matrix products of a tile of queries, as plain loops over the packed formats: what the tile and vector
// instructions compute.
#pragma once

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "attention/cpu/softmax.h"

namespace bitreel::cpu {

template <class L>
struct ScalarProducts {
  using F = typename L::F;
  using I = typename L::I;

  static std::int64_t spin(std::int64_t rounds) {
    constexpr std::int64_t chains = 8;
    std::int32_t sums[chains] = {}, x = 3;
    for (std::int64_t r = 0; r < rounds; ++r) {
      for (std::int32_t& sum : sums) {
        __asm__ volatile("" : "+r"(x));
        sum += x * x;
      }
    }
    __asm__ volatile("" : : "m"(sums));
    return rounds * chains * 2;
  }

  // A query as it is stored from a signed integer.
  static std::uint8_t stored_query(std::int32_t x) { return static_cast<std::uint8_t>(x); }

  template <std::int64_t D>
  static void begin_pass(const Head&, std::int64_t, std::int64_t, Workspace&) {}

  // S and the largest of each strip.
  template <std::int64_t D>
  static void scores(const Head& head, const Block& block, std::int64_t t, Workspace& work) {
    const auto* const q = reinterpret_cast<const std::int8_t*>(work.q[t]);
    for (std::int64_t key = 0; key < block.keys; ++key) {
      const std::int8_t* k = head.keys + (block.first + key) * D;
      I sum = L::zeros();
      for (std::int64_t d = 0; d < D; d += 4) {
        for (std::int64_t i = 0; i < tile; ++i) {
          for (std::int64_t j = 0; j < 4; ++j) sum.x[i] += q[d * tile + i * 4 + j] * k[d + j];
        }
      }
      std::int32_t* s = work.s[0] + key * tile;
      std::int32_t* largest = work.strip_max[0][key / tile];
      for (std::int64_t i = 0; i < tile; ++i) {
        s[i] = sum.x[i];
        largest[i] = key % tile == 0 || sum.x[i] > largest[i] ? sum.x[i] : largest[i];
      }
    }
  }

  // O = O alpha + P V beta.
  template <std::int64_t D>
  static void merge_values(const Head& head, const Block& block, std::int64_t first_tile, Workspace& work) {
    const F alpha = L::load(work.alpha[0]), beta = L::load(work.beta[0]);
    for (std::int64_t c = 0; c < D; ++c) {
      I sum = L::zeros();
      for (std::int64_t key = 0; key < block.keys; ++key) {
        const std::int8_t* v = head.values + (block.first + key) / key_tile * (D * key_tile) + c * key_tile;
        const std::uint8_t* p = work.p[0] + key / 4 * 4 * tile + key % 4;
        for (std::int64_t i = 0; i < tile; ++i) sum.x[i] += p[4 * i] * v[key % key_tile];
      }
      float* o = work.o[first_tile][c];
      L::store(L::multiply_add(L::to_floats(sum), beta, L::multiply(L::load(o), alpha)), o);
    }
  }
};

}  // namespace bitreel::cpu
