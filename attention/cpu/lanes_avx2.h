// A vector of 16 queries as two of AVX2: queries 0 to 7 and 8 to 15; meanings in lanes_scalar.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "attention/cpu/kernels.h"

namespace bitreel::cpu {

template <class Unit>
struct Avx2Lanes {
  struct F {
    __m256 low, high;
  };
  struct I {
    __m256i low, high;
  };
  struct Bytes {
    __m256i low, high;
  };
  struct Table {
    __m256i quarters[4];  // 16 entries each, twice
  };

  static F load(const float* from) { return {_mm256_load_ps(from), _mm256_load_ps(from + 8)}; }
  static I load(const std::int32_t* from) {
    const auto* const halves = reinterpret_cast<const __m256i*>(from);
    return {_mm256_load_si256(halves), _mm256_load_si256(halves + 1)};
  }
  static void store(F a, float* to) {
    _mm256_store_ps(to, a.low);
    _mm256_store_ps(to + 8, a.high);
  }
  static void store(I a, std::int32_t* to) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), a.low);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to) + 1, a.high);
  }
  static F broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static I zeros() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static F add(F a, F b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
  static F subtract(F a, F b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
  static F multiply(F a, F b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
  static F divide(F a, F b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
  static F multiply_add(F a, F b, F c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static F max(F a, F b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
  static I max(I a, I b) { return {_mm256_max_epi32(a.low, b.low), _mm256_max_epi32(a.high, b.high)}; }
  static F min(F a, F b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
  static F to_floats(I a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }
  static I to_integers(F a) { return {_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high)}; }
  static F where_beyond(I count, std::int32_t index, F a, F b) {
    const __m256i at = _mm256_set1_epi32(index);
    return {_mm256_blendv_ps(b.low, a.low, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count.low, at))),
            _mm256_blendv_ps(b.high, a.high, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count.high, at)))};
  }
  static F where_equal(F left, F right, F a, F b) {
    return {_mm256_blendv_ps(b.low, a.low, _mm256_cmp_ps(left.low, right.low, _CMP_EQ_OQ)),
            _mm256_blendv_ps(b.high, a.high, _mm256_cmp_ps(left.high, right.high, _CMP_EQ_OQ))};
  }
  static __m256 add_exponent(__m256 a, __m256 exponent) {
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(exponent), 23)));
  }
  static F add_exponent(F a, F exponent) {
    return {add_exponent(a.low, exponent.low), add_exponent(a.high, exponent.high)};
  }

  static __m256i pack(__m256i k0, __m256i k1, __m256i k2, __m256i k3) {
    const __m256i by_query =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    return _mm256_shuffle_epi8(_mm256_packus_epi16(_mm256_packs_epi32(k0, k1), _mm256_packs_epi32(k2, k3)), by_query);
  }
  static Bytes pack(I k0, I k1, I k2, I k3) {
    return {pack(k0.low, k1.low, k2.low, k3.low), pack(k0.high, k1.high, k2.high, k3.high)};
  }
  static Table load_table(const std::uint8_t* table) {
    Table t;
    for (std::int64_t i = 0; i < 4; ++i) {
      t.quarters[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table) + i));
    }
    return t;
  }
  // Bits 0 to 3 of an index pick within a quarter where bit 7 is off; shifts bring bits 4 and 5 to where blending
  // looks.
  static __m256i look_up(const Table& table, __m256i index) {
    const __m256i bounded = _mm256_and_si256(index, _mm256_set1_epi8(63));
    const auto from = [&](int quarter) { return _mm256_shuffle_epi8(table.quarters[quarter], bounded); };
    const __m256i bit4 = _mm256_slli_epi16(bounded, 3), bit5 = _mm256_slli_epi16(bounded, 2);
    return _mm256_blendv_epi8(_mm256_blendv_epi8(from(0), from(1), bit4), _mm256_blendv_epi8(from(2), from(3), bit4),
                              bit5);
  }
  static Bytes look_up(const Table& table, Bytes index) {
    return {look_up(table, index.low), look_up(table, index.high)};
  }
  static Bytes min(Bytes a, Bytes b) { return {_mm256_min_epu8(a.low, b.low), _mm256_min_epu8(a.high, b.high)}; }
  static void store(Bytes a, std::uint8_t* to) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), a.low);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to) + 1, a.high);
  }
  static __m256i add_bytes(__m256i sum, __m256i a) {
    const __m256i pairs = _mm256_maddubs_epi16(a, _mm256_set1_epi8(1));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static I add_bytes(I sum, Bytes a) { return {add_bytes(sum.low, a.low), add_bytes(sum.high, a.high)}; }

  // 8 rows of 8: by pairs of rows, pairs of pairs, and halves of the vectors.
  static void transpose(__m256 (&rows)[8]) {
    __m256 pairs[8], fours[8];
    for (std::int64_t r = 0; r < 8; r += 2) {
      pairs[r] = _mm256_unpacklo_ps(rows[r], rows[r + 1]);
      pairs[r + 1] = _mm256_unpackhi_ps(rows[r], rows[r + 1]);
    }
    for (std::int64_t r = 0; r < 8; r += 4) {
      const auto pair = [&](std::int64_t i) { return _mm256_castps_pd(pairs[r + i]); };
      fours[r] = _mm256_castpd_ps(_mm256_unpacklo_pd(pair(0), pair(2)));
      fours[r + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(pair(0), pair(2)));
      fours[r + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(pair(1), pair(3)));
      fours[r + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(pair(1), pair(3)));
    }
    for (std::int64_t c = 0; c < 4; ++c) {
      rows[c] = _mm256_permute2f128_ps(fours[c], fours[c + 4], 0x20);
      rows[c + 4] = _mm256_permute2f128_ps(fours[c], fours[c + 4], 0x31);
    }
  }
  static void transpose(F (&rows)[tile]) {
    __m256 quarters[2][2][8];  // of rows, of columns
    for (std::int64_t r = 0; r < tile; ++r) {
      quarters[r / 8][0][r % 8] = rows[r].low;
      quarters[r / 8][1][r % 8] = rows[r].high;
    }
    for (auto& halves : quarters) {
      for (auto& quarter : halves) transpose(quarter);
    }
    for (std::int64_t r = 0; r < tile; ++r) rows[r] = {quarters[0][r / 8][r % 8], quarters[1][r / 8][r % 8]};
  }
};

}  // namespace bitreel::cpu
