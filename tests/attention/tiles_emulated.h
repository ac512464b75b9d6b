// AMX's tile registers as memory: what attention/cpu/tiles_amx.h does, in plain operations.
#pragma once

#include <cstdint>

namespace bitreel::cpu {

template <class Unit>
struct EmulatedTiles {
  struct TileRegisters {
    std::uint8_t rows[8][16][64];
  };
  static inline thread_local TileRegisters registers;

  template <int To>
  static void load_tile(const void* from, std::int64_t row_stride) {
    for (std::int64_t r = 0; r < 16; ++r) {
      __builtin_memcpy(registers.rows[To][r], static_cast<const char*>(from) + r * row_stride, 64);
    }
  }
  template <int To>
  static void load_passing_tile(const void* from, std::int64_t row_stride) {
    load_tile<To>(from, row_stride);
  }
  template <int From>
  static void store_tile(void* to) {
    __builtin_memcpy(to, registers.rows[From], sizeof registers.rows[From]);
  }
  template <int To>
  static void zero_tile() {
    __builtin_memset(registers.rows[To], 0, sizeof registers.rows[To]);
  }

  // 32-bit sums that wrap; B's bytes as they are stored.
  template <class OfB, int To, int A, int B>
  static void multiply_tiles() {
    std::uint32_t sums[16][16];
    store_tile<To>(sums);
    for (std::int64_t row = 0; row < 16; ++row) {
      for (std::int64_t k = 0; k < 64; ++k) {
        const auto a = static_cast<std::int8_t>(registers.rows[A][row][k]);
        for (std::int64_t column = 0; column < 16; ++column) {
          const auto b = static_cast<OfB>(registers.rows[B][k / 4][column * 4 + k % 4]);
          sums[row][column] += static_cast<std::uint32_t>(a * b);
        }
      }
    }
    load_tile<To>(sums, 64);
  }
  template <int To, int A, int B>
  static void multiply_signed() {
    multiply_tiles<std::int8_t, To, A, B>();
  }
  template <int To, int A, int B>
  static void multiply_unsigned() {
    multiply_tiles<std::uint8_t, To, A, B>();
  }

  // Nothing of what a thread had in its registers before counts.
  static void enter() { __builtin_memset(&registers, 0xa5, sizeof registers); }
  static void leave() {}
};

}  // namespace bitreel::cpu
