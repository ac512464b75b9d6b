// The two matrix products with AVX512-VNNI: unsigned bytes from a vector of queries times signed ones from memory, the
// same for all queries. Queries are stored as q + 128; sums start at -128 * (the key's sum), which takes that off.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "attention/cpu/softmax.h"

namespace bitreel::cpu {

template <class L>
struct Avx512VnniProducts {
  using F = typename L::F;

  static std::int64_t spin(std::int64_t rounds) {
    constexpr std::int64_t chains = 16;
    __m512i sums[chains] = {};
    for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
      for (__m512i& sum : sums) __asm__ volatile("vpdpbusd %0, %0, %0" : "+v"(sum));
    }
    return rounds * chains * 64 * 2;
  }

  static std::uint8_t stored_query(std::int32_t x) {
    return static_cast<std::uint8_t>(x + 128);
  }

  template <std::int64_t D>
  static void begin_pass(const Head&, std::int64_t, std::int64_t, Workspace&) {}

  // sums += vector's bytes * the four bytes at `from`. In assembly, because gcc 12 neither folds the broadcast into the
  // instruction nor keeps sixteen sums in place.
  static void add_products(__m512i& sums, __m512i vector, const std::int8_t* from) {
    struct FourBytes {
      std::int8_t x[4];
    };
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(vector), "m"(*reinterpret_cast<const FourBytes*>(from)));
  }

  template <std::int64_t D>
  static void scores(const Head& head, const Block& block, std::int64_t t, Workspace& work) {
    const std::uint8_t* q = work.q[t];
    for (std::int64_t strip = 0; strip < block.keys; strip += tile) {
      const std::int8_t* k = head.keys + (block.first + strip) * D;
      const std::int32_t* offsets = head.key_offsets + block.first + strip;
      __m512i sums[tile];
#pragma GCC unroll 16
      for (std::int64_t j = 0; j < tile; ++j) sums[j] = _mm512_set1_epi32(offsets[j]);
      for (std::int64_t d = 0; d < D; d += 4) {
        const __m512i queries = _mm512_load_si512(q + d * tile);
#pragma GCC unroll 16
        for (std::int64_t j = 0; j < tile; ++j) add_products(sums[j], queries, k + j * D + d);
      }
      std::int32_t* s = work.s[0] + strip * tile;
      __m512i largest = sums[0];
#pragma GCC unroll 16
      for (std::int64_t j = 0; j < tile; ++j) {
        _mm512_store_si512(s + j * tile, sums[j]);
        largest = _mm512_max_epi32(largest, sums[j]);
      }
      _mm512_store_si512(work.strip_max[0][strip / tile], largest);
    }
  }

  template <std::int64_t D>
  static void merge_values(const Head& head, const Block& block, std::int64_t first_tile, Workspace& work) {
    const F alpha = L::load(work.alpha[0]), beta = L::load(work.beta[0]);
    for (std::int64_t channels = 0; channels < D; channels += 16) {
      __m512i sums[16];
#pragma GCC unroll 16
      for (std::int64_t c = 0; c < 16; ++c) sums[c] = L::zeros();
      for (std::int64_t first = 0; first < block.keys; first += key_tile) {
        const std::int8_t* v = head.values + (block.first + first) * D + channels * key_tile;
        const std::uint8_t* p = work.p[0] + first * tile;
        for (std::int64_t key = 0; key < key_tile; key += 4) {
          const __m512i powers = _mm512_load_si512(p + key * tile);
#pragma GCC unroll 16
          for (std::int64_t c = 0; c < 16; ++c) add_products(sums[c], powers, v + c * key_tile + key);
        }
      }
#pragma GCC unroll 16
      for (std::int64_t c = 0; c < 16; ++c) {
        float* o = work.o[first_tile][channels + c];
        L::store(L::multiply_add(L::to_floats(sums[c]), beta, L::multiply(L::load(o), alpha)), o);
      }
    }
  }
};

}  // namespace bitreel::cpu
