// Half-precision numbers as bits, and the way to fp32 and back: in plain operations that a compiler turns into vectors.
//
//   const float x = widened(bits);
//   narrow(x, bits);   // to the nearest, halves to even
//
// Static, not inline: kernels are compiled once for each instruction set, and must not share their code.
#pragma once

#include <cstdint>

namespace bitreel {

static inline float widened(float x) {
  return x;
}

struct Bf16 {
  std::uint16_t bits;
};
static inline float widened(Bf16 x) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(x.bits) << 16);
}

struct Fp16 {
  std::uint16_t bits;
};
// The exponent's bias is mended by a multiplication, which makes subnormal numbers normal as well.
static inline float widened(Fp16 x) {
  const std::uint32_t magnitude = (x.bits & 0x7fffu) << 13, sign = (x.bits & 0x8000u) << 16;
  const std::uint32_t finite = __builtin_bit_cast(std::uint32_t, __builtin_bit_cast(float, magnitude) * 0x1p112f);
  const std::uint32_t bits = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : finite;
  return __builtin_bit_cast(float, bits | sign);
}

static inline void narrow(float x, float& out) {
  out = x;
}
// To the nearest, halves to even; NaN stays NaN because one bit of its mantissa is set.
static inline void narrow(float x, Bf16& out) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const std::uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  out.bits = static_cast<std::uint16_t>(x != x ? bits >> 16 | 0x40u : rounded);
}
static inline void narrow(float x, Fp16& out) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  // Adding 1/2 leaves a subnormal's rounded bits at the low end of the sum.
  const float shifted = __builtin_bit_cast(float, magnitude) + 0.5f;
  const std::uint32_t subnormal = __builtin_bit_cast(std::uint32_t, shifted) - 0x3f000000u;
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  std::uint32_t half = magnitude < (113u << 23) ? subnormal : normal;
  half = magnitude >= 0x477ff000u ? 0x7c00u : half;  // from 65520 on
  half = magnitude > 0x7f800000u ? 0x7e00u : half;
  out.bits = static_cast<std::uint16_t>(half | (bits >> 16 & 0x8000u));
}

}  // namespace bitreel
