// Scores as the tensor cores leave them in registers, and what makes floats of them.
//
//   using Kind = Scores<Product::int8>;
//   const float x = fmaf(Kind::value(score), scale, shift - Kind::base * scale);   // score * scale + shift
//
// Whatever the kind, registers compare as integers do where one of them is positive, which is what the largest score is
// found by: __vimax3_s32 takes three at once.
#pragma once

#include <cstdint>

namespace bitreel::cuda::sm90 {

// int8: sums are int32, added to 1.5 * 2^23 as a float has it, whose last bits then are the integer: 2^22 is more than
// 128 products of 127 * 127 add up to. Starting four accumulators takes one instruction, converting them four. e4m3:
// small integers as e4m3, whose sums are floats.
enum class Product { int8, e4m3 };

template <Product product>
struct Scores {
  static constexpr float base = product == Product::int8 ? 12582912.0f : 0.0f;

  // The score, and the base.
  static __device__ __forceinline__ float value(std::int32_t score) { return __int_as_float(score); }

  // What the maximum starts from. Of negative floats the one farthest from zero has the largest bits: no maximum is
  // below zero then, where padding's scores are, and no row has all of its scores there when keys are without their
  // mean.
  static constexpr float least_maximum = product == Product::e4m3 ? 0.0f : -1e30f;
};

// Four accumulators at their start, from 16 bytes of shared memory. Not a constant: moving that into registers takes
// one instruction each, and ptxas makes moves of whatever it knows to be equal.
__device__ __forceinline__ void start_four(std::int32_t* scores, std::uint32_t bases) {
  asm volatile("ld.volatile.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(scores[0]), "=r"(scores[1]), "=r"(scores[2]), "=r"(scores[3])
               : "r"(bases));
}

}  // namespace bitreel::cuda::sm90
