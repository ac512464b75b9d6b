// AMX's eight tile registers by number: 16 rows of 64 bytes each. In assembly, because gcc 12's intrinsics don't say
// that loading a tile reads memory.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace bitreel::cpu {

struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

template <class Unit>
struct AmxTiles {
  template <int To>
  static void load_tile(const void* from, std::int64_t row_stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(row_stride), "i"(To) : "memory");
  }
  // With the hint that it won't be wanted again soon; measured a tenth to a quarter faster for keys and values.
  template <int To>
  static void load_passing_tile(const void* from, std::int64_t row_stride) {
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(row_stride), "i"(To) : "memory");
  }
  template <int From>
  static void store_tile(void* to) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(std::int64_t{64}), "i"(From) : "memory");
  }
  template <int To>
  static void zero_tile() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(To));
  }
  // To[16][16] += A[16][64] * B[16 of 4][16][4], 32-bit sums; B of bytes with a sign, or without.
  template <int To, int A, int B>
  static void multiply_signed() {
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(To), "i"(A), "i"(B));
  }
  template <int To, int A, int B>
  static void multiply_unsigned() {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(To), "i"(A), "i"(B));
  }

  static void enter() {
    static constexpr TileConfiguration configuration;
    _tile_loadconfig(&configuration);
  }
  static void leave() { _tile_release(); }
};

}  // namespace bitreel::cpu
