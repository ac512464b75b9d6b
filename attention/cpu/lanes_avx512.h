// A vector of 16 queries as one of AVX-512 with VBMI; meanings in lanes_scalar.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "attention/cpu/kernels.h"

namespace bitreel::cpu {

template <class Unit>
struct Avx512Lanes {
  using F = __m512;
  using I = __m512i;
  struct Bytes {
    __m512i x;
  };
  struct Table {
    __m512i x;
  };

  static F load(const float* from) { return _mm512_load_ps(from); }
  static I load(const std::int32_t* from) { return _mm512_load_si512(from); }
  static void store(F a, float* to) { _mm512_store_ps(to, a); }
  static void store(I a, std::int32_t* to) { _mm512_store_si512(to, a); }
  static F broadcast(float x) { return _mm512_set1_ps(x); }
  static I zeros() { return _mm512_setzero_si512(); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F subtract(F a, F b) { return _mm512_sub_ps(a, b); }
  static F multiply(F a, F b) { return _mm512_mul_ps(a, b); }
  static F divide(F a, F b) { return _mm512_div_ps(a, b); }
  static F multiply_add(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static I max(I a, I b) { return _mm512_max_epi32(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F to_floats(I a) { return _mm512_cvtepi32_ps(a); }
  static I to_integers(F a) { return _mm512_cvtps_epi32(a); }
  static F where_beyond(I count, std::int32_t index, F a, F b) {
    return _mm512_mask_mov_ps(b, _mm512_cmpgt_epi32_mask(count, _mm512_set1_epi32(index)), a);
  }
  static F where_equal(F left, F right, F a, F b) {
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(left, right, _CMP_EQ_OQ), a);
  }
  static F add_exponent(F a, F exponent) {
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_castps_si512(exponent), 23)));
  }

  static Bytes pack(I k0, I k1, I k2, I k3) {
    const __m512i by_query =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const __m512i by_key = _mm512_packus_epi16(_mm512_packs_epi32(k0, k1), _mm512_packs_epi32(k2, k3));
    return {_mm512_shuffle_epi8(by_key, by_query)};
  }
  static Table load_table(const std::uint8_t* table) { return {_mm512_loadu_si512(table)}; }
  static Bytes look_up(Table table, Bytes index) { return {_mm512_permutexvar_epi8(index.x, table.x)}; }
  static Bytes min(Bytes a, Bytes b) { return {_mm512_min_epu8(a.x, b.x)}; }
  static void store(Bytes a, std::uint8_t* to) { _mm512_store_si512(to, a.x); }
  static I add_bytes(I sum, Bytes a) { return _mm512_dpbusd_epi32(sum, a.x, _mm512_set1_epi8(1)); }

  // By pairs of rows, pairs of pairs, and then quarters of the vectors, twice.
  static void transpose(F (&rows)[tile]) {
    F pairs[tile], fours[tile];
#pragma GCC unroll 8
    for (std::int64_t r = 0; r < tile; r += 2) {
      pairs[r] = _mm512_unpacklo_ps(rows[r], rows[r + 1]);
      pairs[r + 1] = _mm512_unpackhi_ps(rows[r], rows[r + 1]);
    }
#pragma GCC unroll 4
    for (std::int64_t r = 0; r < tile; r += 4) {
      const auto pair = [&](std::int64_t i) { return _mm512_castps_pd(pairs[r + i]); };
      fours[r] = _mm512_castpd_ps(_mm512_unpacklo_pd(pair(0), pair(2)));
      fours[r + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pair(0), pair(2)));
      fours[r + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pair(1), pair(3)));
      fours[r + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pair(1), pair(3)));
    }
#pragma GCC unroll 4
    for (std::int64_t c = 0; c < 4; ++c) {
      const F a = _mm512_shuffle_f32x4(fours[c], fours[c + 4], 0x88),
              b = _mm512_shuffle_f32x4(fours[c], fours[c + 4], 0xdd);
      const F d = _mm512_shuffle_f32x4(fours[c + 8], fours[c + 12], 0x88);
      const F e = _mm512_shuffle_f32x4(fours[c + 8], fours[c + 12], 0xdd);
      rows[c] = _mm512_shuffle_f32x4(a, d, 0x88);
      rows[c + 4] = _mm512_shuffle_f32x4(b, e, 0x88);
      rows[c + 8] = _mm512_shuffle_f32x4(a, d, 0xdd);
      rows[c + 12] = _mm512_shuffle_f32x4(b, e, 0xdd);
    }
  }
};

}  // namespace bitreel::cpu
