// The two matrix products with AVX2. Its one multiplication of bytes saturates in 16 bits, so all are widened: keys and
// values once for a block, queries and P as they are loaded. Four queries to a vector, two halves of a sum each.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "attention/cpu/softmax.h"

namespace bitreel::cpu {

template <class L>
struct Avx2Products {
  using F = typename L::F;
  using I = typename L::I;

  static std::int64_t spin(std::int64_t rounds) {
    constexpr std::int64_t chains = 12;
    __m256i sums[chains] = {}, x = _mm256_setzero_si256();
    for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
      for (__m256i& sum : sums) {
        __asm__ volatile("" : "+x"(x));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, x));
        __asm__ volatile("" : "+x"(sum));
      }
    }
    return rounds * chains * 16 * 2;
  }

  static std::uint8_t stored_query(std::int32_t x) {
    return static_cast<std::uint8_t>(x);
  }

  template <std::int64_t D>
  static void begin_pass(const Head& head, std::int64_t first, std::int64_t keys, Workspace& work) {
    const auto widen = [&](const std::int8_t* from, std::int16_t* to) {
      for (std::int64_t i = 0; i < keys * D; i += 16) {
        const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(from + i));
        _mm256_store_si256(reinterpret_cast<__m256i*>(to + i), _mm256_cvtepi8_epi16(bytes));
      }
    };
    widen(head.keys + first * D, work.wide_keys);
    widen(head.values + first * D, work.wide_values);
  }

  // 16 queries, or sums of theirs.
  struct Fours {
    __m256i a, b, c, d;
  };

  static void add_product(__m256i& sum, __m256i vector, __m256i numbers) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(vector, numbers));
    __asm__("" : "+x"(sum));  // keeps gcc 12 from moving sums between registers and memory in every round
  }

  // sums += vectors * the four numbers at `row`.
  static void add_products(Fours& sums, const Fours& vectors, const std::int16_t* row) {
    std::int64_t four;
    __builtin_memcpy(&four, row, sizeof four);
    const __m256i numbers = _mm256_set1_epi64x(four);
    add_product(sums.a, vectors.a, numbers);
    add_product(sums.b, vectors.b, numbers);
    add_product(sums.c, vectors.c, numbers);
    add_product(sums.d, vectors.d, numbers);
  }

  static __m256i total(__m256i first_four, __m256i second_four) {
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(first_four, second_four), _MM_SHUFFLE(3, 1, 2, 0));
  }
  static I total(const Fours& x) {
    return {total(x.a, x.b), total(x.c, x.d)};
  }

  template <std::int64_t D>
  static void scores(const Head&, const Block& block, std::int64_t t, Workspace& work) {
    for (std::int64_t key = 0; key < block.keys; key += 2) {
      const std::int16_t* k = work.wide_keys + key * D;
      Fours sums0 = {}, sums1 = {};
      for (std::int64_t d = 0; d < D; d += 4) {
        const auto* const q = reinterpret_cast<const __m128i*>(work.q[t] + d * tile);
        const auto wide = [&](int i) { return _mm256_cvtepi8_epi16(_mm_load_si128(q + i)); };
        const Fours queries = {wide(0), wide(1), wide(2), wide(3)};
        add_products(sums0, queries, k + d);
        add_products(sums1, queries, k + D + d);
      }
      const I s0 = total(sums0), s1 = total(sums1);
      L::store(s0, work.s[0] + key * tile);
      L::store(s1, work.s[0] + (key + 1) * tile);
      std::int32_t* const of_strip = work.strip_max[0][key / tile];
      const I largest = L::max(s0, s1);
      L::store(key % tile == 0 ? largest : L::max(largest, L::load(of_strip)), of_strip);
    }
  }

  template <std::int64_t D>
  static void merge_values(const Head&, const Block& block, std::int64_t first_tile, Workspace& work) {
    const F alpha = L::load(work.alpha[0]), beta = L::load(work.beta[0]);
    for (std::int64_t channel = 0; channel < D; channel += 2) {
      Fours sums0 = {}, sums1 = {};
      for (std::int64_t key = 0; key < block.keys; key += 4) {
        const auto* const p = reinterpret_cast<const __m128i*>(work.p[0] + key * tile);
        const auto wide = [&](int i) { return _mm256_cvtepu8_epi16(_mm_load_si128(p + i)); };
        const Fours powers = {wide(0), wide(1), wide(2), wide(3)};
        const std::int16_t* v =
            work.wide_values + key / key_tile * (D * key_tile) + channel * key_tile + key % key_tile;
        add_products(sums0, powers, v);
        add_products(sums1, powers, v + key_tile);
      }
      float *const o0 = work.o[first_tile][channel], *const o1 = work.o[first_tile][channel + 1];
      L::store(L::multiply_add(L::to_floats(total(sums0)), beta, L::multiply(L::load(o0), alpha)), o0);
      L::store(L::multiply_add(L::to_floats(total(sums1)), beta, L::multiply(L::load(o1), alpha)), o1);
    }
  }
};

}  // namespace bitreel::cpu
