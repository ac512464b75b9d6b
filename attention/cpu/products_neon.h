// The two matrix products with NEON's dot products (Armv8.2 DotProd): four queries to a vector, 16 bytes at once. P is
// unsigned and the instruction isn't: P - 128 is multiplied, and 128 times the values' sum added back.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "attention/cpu/softmax.h"

namespace bitreel::cpu {

template <class L>
struct NeonProducts {
  using F = typename L::F;
  using I = typename L::I;
  using Bytes = typename L::Bytes;

  static constexpr std::int64_t tiles_of_item = 1;
  static constexpr std::int64_t keys_of_pass = key_tile;

  static void enter() {}
  static void leave() {}

  static std::int64_t spin(std::int64_t rounds) {
    constexpr std::int64_t chains = 12;
    int32x4_t sums[chains] = {};
    int8x16_t x = vdupq_n_s8(1);
    for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
      for (int32x4_t& sum : sums) {
        __asm__ volatile("" : "+w"(x));
        sum = vdotq_s32(sum, x, x);
        __asm__ volatile("" : "+w"(sum));
      }
    }
    return rounds * chains * 16 * 2;
  }

  static std::uint8_t stored_query(std::int32_t x) {
    return static_cast<std::uint8_t>(x);
  }

  template <std::int64_t D>
  static void begin_pass(const Head&, std::int64_t, std::int64_t, Workspace&) {}

  // 16 queries' sums.
  struct Sums {
    int32x4_t x[4];
  };

  // Four bytes of each query times four of one key or channel, which all four of a vector share.
  static Sums dot(Sums sums, const int8x16_t (&queries)[4], int8x16_t four) {
    for (int part = 0; part < 4; ++part) sums.x[part] = vdotq_s32(sums.x[part], queries[part], four);
    return sums;
  }
  static int8x16_t four_bytes(const std::int8_t* from) {
    std::int32_t bits = 0;
    __builtin_memcpy(&bits, from, sizeof bits);
    return vreinterpretq_s8_s32(vdupq_n_s32(bits));
  }

  template <std::int64_t D>
  static void scores(const Head& head, const Block& block, std::int64_t t, Workspace& work) {
    const auto* const q = reinterpret_cast<const std::int8_t*>(work.q[t]);
    Sums largest{};
    for (std::int64_t key = 0; key < block.keys; ++key) {
      const std::int8_t* k = head.keys + (block.first + key) * D;
      Sums sums{};
      for (std::int64_t d = 0; d < D; d += 4) {
        const std::int8_t* of_d = q + d * tile;
        const int8x16_t queries[4] = {vld1q_s8(of_d), vld1q_s8(of_d + 16), vld1q_s8(of_d + 32), vld1q_s8(of_d + 48)};
        sums = dot(sums, queries, four_bytes(k + d));
      }
      std::int32_t* s = work.s[0] + key * tile;
      for (int part = 0; part < 4; ++part) {
        vst1q_s32(s + 4 * part, sums.x[part]);
        largest.x[part] = key % tile == 0 ? sums.x[part] : vmaxq_s32(largest.x[part], sums.x[part]);
        if (key % tile == tile - 1) vst1q_s32(work.strip_max[0][key / tile] + 4 * part, largest.x[part]);
      }
    }
  }

  template <std::int64_t D>
  static void merge_values(const Head& head, const Block& block, std::int64_t first_tile, Workspace& work) {
    const F alpha = L::load(work.alpha[0]), beta = L::load(work.beta[0]);
    const int8x16_t half = vdupq_n_s8(-128), ones = vdupq_n_s8(1);
    for (std::int64_t c = 0; c < D; ++c) {
      Sums sums{};
      int32x4_t values = vdupq_n_s32(0);  // four times over
      for (std::int64_t key = 0; key < block.keys; key += 4) {
        const std::int8_t* v = head.values + (block.first + key) / key_tile * (D * key_tile) + c * key_tile;
        const auto* const p = reinterpret_cast<const std::int8_t*>(work.p[0] + key * tile);
        const int8x16_t four = four_bytes(v + key % key_tile);
        const int8x16_t weights[4] = {veorq_s8(vld1q_s8(p), half), veorq_s8(vld1q_s8(p + 16), half),
                                      veorq_s8(vld1q_s8(p + 32), half), veorq_s8(vld1q_s8(p + 48), half)};
        sums = dot(sums, weights, four);
        values = vdotq_s32(values, ones, four);
      }
      I sum;
      for (int part = 0; part < 4; ++part) vst1q_s32(sum.x + 4 * part, vmlaq_n_s32(sums.x[part], values, 128));
      float* o = work.o[first_tile][c];
      L::store(L::multiply_add(L::to_floats(sum), beta, L::multiply(L::load(o), alpha)), o);
    }
  }
};

}  // namespace bitreel::cpu
