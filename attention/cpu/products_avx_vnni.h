// The two matrix products with AVX-VNNI, as products_avx512_vnni.h has them, in halves of 8 queries. Four keys or
// channels at a time: with the operands, what 16 registers hold.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "attention/cpu/softmax.h"

namespace bitreel::cpu {

template <class L>
struct AvxVnniProducts {
  using F = typename L::F;
  using I = typename L::I;
  using Bytes = typename L::Bytes;

  static std::int64_t spin(std::int64_t rounds) {
    constexpr std::int64_t chains = 12;
    __m256i sums[chains] = {};
    for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
      for (__m256i& sum : sums) {
        sum = _mm256_dpbusd_avx_epi32(sum, sum, sum);
        __asm__ volatile("" : "+x"(sum));
      }
    }
    return rounds * chains * 32 * 2;
  }

  static std::uint8_t stored_query(std::int32_t x) {
    return static_cast<std::uint8_t>(x + 128);
  }

  template <std::int64_t D>
  static void begin_pass(const Head&, std::int64_t, std::int64_t, Workspace&) {}

  static Bytes load_bytes(const std::uint8_t* from) {
    const auto* const halves = reinterpret_cast<const __m256i*>(from);
    return {_mm256_load_si256(halves), _mm256_load_si256(halves + 1)};
  }

  // sums += each query's four bytes * the four bytes at `from`.
  static void add_products(I& sums, Bytes vector, const std::int8_t* from) {
    std::int32_t bytes;
    __builtin_memcpy(&bytes, from, sizeof bytes);
    const __m256i all = _mm256_set1_epi32(bytes);
    sums.low = _mm256_dpbusd_avx_epi32(sums.low, vector.low, all);
    sums.high = _mm256_dpbusd_avx_epi32(sums.high, vector.high, all);
    __asm__("" : "+x"(sums.low), "+x"(sums.high));  // keeps gcc 12 from moving sums about in every round
  }

  template <std::int64_t D>
  static void scores(const Head& head, const Block& block, std::int64_t t, Workspace& work) {
    const std::uint8_t* q = work.q[t];
    for (std::int64_t key = 0; key < block.keys; key += 4) {
      const std::int8_t* k = head.keys + (block.first + key) * D;
      const std::int32_t* offsets = head.key_offsets + block.first + key;
      I sums[4];
#pragma GCC unroll 4
      for (std::int64_t j = 0; j < 4; ++j) sums[j] = {_mm256_set1_epi32(offsets[j]), _mm256_set1_epi32(offsets[j])};
      for (std::int64_t d = 0; d < D; d += 4) {
        const Bytes queries = load_bytes(q + d * tile);
#pragma GCC unroll 4
        for (std::int64_t j = 0; j < 4; ++j) add_products(sums[j], queries, k + j * D + d);
      }
      I largest = L::max(L::max(sums[0], sums[1]), L::max(sums[2], sums[3]));
      std::int32_t* const of_strip = work.strip_max[0][key / tile];
      if (key % tile != 0) largest = L::max(largest, L::load(of_strip));
      L::store(largest, of_strip);
#pragma GCC unroll 4
      for (std::int64_t j = 0; j < 4; ++j) L::store(sums[j], work.s[0] + (key + j) * tile);
    }
  }

  template <std::int64_t D>
  static void merge_values(const Head& head, const Block& block, std::int64_t first_tile, Workspace& work) {
    const F alpha = L::load(work.alpha[0]), beta = L::load(work.beta[0]);
    for (std::int64_t channel = 0; channel < D; channel += 4) {
      I sums[4] = {L::zeros(), L::zeros(), L::zeros(), L::zeros()};
      for (std::int64_t first = 0; first < block.keys; first += key_tile) {
        const std::int8_t* v = head.values + (block.first + first) * D + channel * key_tile;
        const std::uint8_t* p = work.p[0] + first * tile;
        for (std::int64_t key = 0; key < key_tile; key += 4) {
          const Bytes powers = load_bytes(p + key * tile);
#pragma GCC unroll 4
          for (std::int64_t c = 0; c < 4; ++c) add_products(sums[c], powers, v + c * key_tile + key);
        }
      }
#pragma GCC unroll 4
      for (std::int64_t c = 0; c < 4; ++c) {
        float* o = work.o[first_tile][channel + c];
        L::store(L::multiply_add(L::to_floats(sums[c]), beta, L::multiply(L::load(o), alpha)), o);
      }
    }
  }
};

}  // namespace bitreel::cpu
