// A vector of 16 queries as plain arrays.
//
//   struct Unit;                   // in an anonymous namespace of the unit that uses them (kernels.h)
//   using L = ScalarLanes<Unit>;
//   const L::F sum = L::add(L::load(a), L::load(b));
//
// What every lanes_*.h provides, in the fewest words:
//   F, I: 16 floats, 16 integers. Arithmetic is IEEE, elementwise, to nearest even; multiply-add rounds once.
//   Bytes: [16 queries][4 keys] unsigned bytes, the shape of P.
// So all instruction sets agree in every bit.
#pragma once

#include <cstdint>

#include "attention/cpu/kernels.h"

namespace bitreel::cpu {

template <class Unit>
struct ScalarLanes {
  struct F {
    float x[tile];
  };
  struct I {
    std::int32_t x[tile];
  };
  struct Bytes {
    std::uint8_t x[tile * 4];
  };
  using Table = const std::uint8_t*;

  // Through memcpy, because scores replace integers in place.
  static F load(const float* from) {
    F r;
    __builtin_memcpy(r.x, from, sizeof r.x);
    return r;
  }
  static I load(const std::int32_t* from) {
    I r;
    __builtin_memcpy(r.x, from, sizeof r.x);
    return r;
  }
  static void store(F a, float* to) { __builtin_memcpy(to, a.x, sizeof a.x); }
  static void store(I a, std::int32_t* to) { __builtin_memcpy(to, a.x, sizeof a.x); }
  static F broadcast(float x) {
    F r;
    for (std::int64_t i = 0; i < tile; ++i) r.x[i] = x;
    return r;
  }
  static I zeros() { return I{}; }
  static F add(F a, F b) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] += b.x[i];
    return a;
  }
  static F subtract(F a, F b) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] -= b.x[i];
    return a;
  }
  static F multiply(F a, F b) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] *= b.x[i];
    return a;
  }
  static F divide(F a, F b) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] /= b.x[i];
    return a;
  }
  static F multiply_add(F a, F b, F c) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] = __builtin_fmaf(a.x[i], b.x[i], c.x[i]);
    return a;
  }
  // The second where either is NaN.
  static F max(F a, F b) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i];
    return a;
  }
  static I max(I a, I b) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i];
    return a;
  }
  static F min(F a, F b) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] = a.x[i] < b.x[i] ? a.x[i] : b.x[i];
    return a;
  }
  static F to_floats(I a) {
    F r;
    for (std::int64_t i = 0; i < tile; ++i) r.x[i] = static_cast<float>(a.x[i]);
    return r;
  }
  // Of magnitudes below 2^31, else INT_MIN.
  static I to_integers(F a) {
    I r;
    for (std::int64_t i = 0; i < tile; ++i) {
      r.x[i] =
          __builtin_fabsf(a.x[i]) < 0x1p31f ? static_cast<std::int32_t>(__builtin_nearbyintf(a.x[i])) : -0x7fffffff - 1;
    }
    return r;
  }
  // a where `count` is beyond `index`, else b.
  static F where_beyond(I count, std::int32_t index, F a, F b) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] = count.x[i] > index ? a.x[i] : b.x[i];
    return a;
  }
  static F where_equal(F left, F right, F a, F b) {
    for (std::int64_t i = 0; i < tile; ++i) a.x[i] = left.x[i] == right.x[i] ? a.x[i] : b.x[i];
    return a;
  }
  // `exponent`'s low byte added to a's exponent.
  static F add_exponent(F a, F exponent) {
    for (std::int64_t i = 0; i < tile; ++i) {
      const std::uint32_t bits =
          __builtin_bit_cast(std::uint32_t, a.x[i]) + (__builtin_bit_cast(std::uint32_t, exponent.x[i]) << 23);
      a.x[i] = __builtin_bit_cast(float, bits);
    }
    return a;
  }

  static std::uint8_t saturated(std::int32_t x) { return static_cast<std::uint8_t>(x < 0 ? 0 : x > 255 ? 255 : x); }
  static Bytes pack(I k0, I k1, I k2, I k3) {
    Bytes r;
    for (std::int64_t i = 0; i < tile; ++i) {
      r.x[4 * i] = saturated(k0.x[i]);
      r.x[4 * i + 1] = saturated(k1.x[i]);
      r.x[4 * i + 2] = saturated(k2.x[i]);
      r.x[4 * i + 3] = saturated(k3.x[i]);
    }
    return r;
  }
  static Table load_table(const std::uint8_t* table) { return table; }
  // The table's entries by the low six bits.
  static Bytes look_up(Table table, Bytes index) {
    for (std::uint8_t& x : index.x) x = table[x & 63];
    return index;
  }
  static Bytes min(Bytes a, Bytes b) {
    for (std::int64_t i = 0; i < tile * 4; ++i) a.x[i] = a.x[i] < b.x[i] ? a.x[i] : b.x[i];
    return a;
  }
  static void store(Bytes a, std::uint8_t* to) { __builtin_memcpy(to, a.x, sizeof a.x); }
  // Each query's four bytes, added to its sum.
  static I add_bytes(I sum, Bytes a) {
    for (std::int64_t i = 0; i < tile; ++i) sum.x[i] += a.x[4 * i] + a.x[4 * i + 1] + a.x[4 * i + 2] + a.x[4 * i + 3];
    return sum;
  }

  // Rows become columns; any 32 bits.
  static void transpose(F (&rows)[tile]) {
    F columns[tile];
    for (std::int64_t r = 0; r < tile; ++r) {
      for (std::int64_t c = 0; c < tile; ++c) columns[c].x[r] = rows[r].x[c];
    }
    __builtin_memcpy(rows, columns, sizeof columns);
  }
};

}  // namespace bitreel::cpu
