// From scores to weights: 2^(score * scale - maximum) as e4m3, in pairs, by either of two units.
//
// The special-function unit gives a warp 2^x in 8 cycles: the 64 weights that a thread has of a tile keep it busy for
// 512, twice as long as the tensor cores need at dim 64. So a share of the pairs takes fp16's own format for a table:
// the bits of an fp16 number, read as an integer, are its logarithm, with a straight line for the mantissa. One line is
// 6% off at worst (deviation 1.8%, which shows beside e4m3's 2.6%). Half the logarithm twice, once half a unit
// further on, and multiplied, the two err opposite ways: 2% at worst, deviation 0.9%.
#pragma once

#include <cstdint>

namespace bitreel::cuda::sm90 {

// Weights are 2^(x - maximum + weight_log2), x up to `slack` log2 units over the maximum before that moves. So they end
// at 448, e4m3's largest, and at the maximum are 224: rows of equal scores, and those that one key wins, are exact.
// More slack would have fewer tiles move the maximum, and fewer log2 units before e4m3 loses bits: two were no faster.
inline constexpr float slack = 1.0f;
inline constexpr float weight_log2 = 8.807354922f - slack;

__device__ __forceinline__ float exp2_of(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Low byte from `first`.
__device__ __forceinline__ std::uint32_t e4m3_pair(float first, float second) {
  std::uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %2, %1;" : "=h"(pair) : "f"(first), "f"(second));
  return pair;
}

__device__ __forceinline__ std::uint32_t two_pairs(std::uint32_t low, std::uint32_t high) {
  std::uint32_t word;
  asm("mov.b32 %0, {%1, %2};"
      : "=r"(word)
      : "h"(static_cast<std::uint16_t>(low)), "h"(static_cast<std::uint16_t>(high)));
  return word;
}

// Makes t = (x / 2 + 15) / 32 of the scores of a row, in [0, 1] by saturation: its first 15 bits are those of an fp16
// number near 2^(x / 2).
struct Line {
  float scale, shift;
};

__device__ __forceinline__ Line line_of(float scale, float shift) {
  // The product of both halves is 2^(x + 1/2), times 1.0827 = 2^0.114671 on average.
  constexpr float centre = 0.5f + 0.114671f;
  return {scale / 64, fmaf(shift, 1.0f / 64, 15.0f / 32 - centre / 64)};
}

__device__ __forceinline__ std::uint32_t e4m3_pair_by_line(float first, float second, Line line) {
  // 2 + 2t has t's bits in bytes 1 and 2, and none of the exponent's beside them.
  const float a = fmaf(__saturatef(fmaf(first, line.scale, line.shift)), 2.0f, 2.0f);
  const float b = fmaf(__saturatef(fmaf(second, line.scale, line.shift)), 2.0f, 2.0f);
  const std::uint32_t half = __byte_perm(__float_as_uint(a), __float_as_uint(b), 0x6521);
  constexpr std::uint32_t half_a_log2_unit = 0x02000200;
  const std::uint32_t further = half + half_a_log2_unit;
  std::uint16_t pair;
  asm("{.reg .b32 product; mul.rn.f16x2 product, %1, %2; cvt.rn.satfinite.e4m3x2.f16x2 %0, product;}"
      : "=h"(pair)
      : "r"(half), "r"(further));
  return pair;
}

}  // namespace bitreel::cuda::sm90
