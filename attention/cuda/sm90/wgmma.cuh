// Hopper's warpgroup products (wgmma) of 8-bit operands that attention uses, and the descriptors of what they read.
//
//   const Tile keys = tile_at(shared_address(memory));         // 64 rows or more of 64 bytes, as TMA wrote them
//   fence_registers();                                         // before a group that reads registers which we wrote
//   multiply_scores<Product::int8>(scores, descriptor<64>(queries), descriptor<64>(keys), Accumulate::no);
//   commit_products();
//   wait_for_products<0>();                                    // until then nobody touches `scores`
//
// Operands in shared memory are K-major with TMA's swizzle of one row (64 or 128 bytes); 32 bytes of k per instruction,
// so the next step is the descriptor + 2. Accumulators: thread t of warp w owns, of every 8 columns, row 16 w + t / 4
// (elements 0, 1 of each four) and row 16 w + t / 4 + 8 (elements 2, 3), at columns 2 (t % 4) and 2 (t % 4) + 1.
// An A operand in registers: k = 4 (t % 4) .. + 3 of the two rows, then the same 16 further on.
// Source: PTX ISA 9.0, section 9.7.15 (asynchronous warpgroup level matrix instructions).
#pragma once

#include <cstdint>

#include "attention/cuda/sm90/scores.cuh"

namespace bitreel::cuda::sm90 {

__device__ __forceinline__ void fence_registers() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Until at most `pending` groups of this warpgroup are still at work, the latest ones.
template <int pending>
__device__ __forceinline__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

// Where a tile lies: the low word of its descriptor. Tiles follow each other, and 32 bytes of k, at plain distances.
using Tile = std::uint32_t;
inline constexpr Tile next_step = 32 / 16;

__device__ __forceinline__ Tile tile_at(std::uint32_t shared_address) {
  return 1u << 16 | shared_address >> 4;
}

// Rows of `row_bytes`, swizzled by as much, in groups of 8 that follow each other.
template <int row_bytes>
__device__ __forceinline__ std::uint64_t descriptor(Tile tile) {
  static_assert(row_bytes == 64 || row_bytes == 128);
  constexpr std::uint32_t swizzle = row_bytes == 128 ? 1 : 2, group_stride = 8 * row_bytes / 16;
  return std::uint64_t{swizzle << 30 | group_stride} << 32 | tile;
}

enum class Accumulate { no, yes };

// Register lists, since PTX names every register of an accumulator.
#define BITREEL_NAMES_0 "%0, %1, %2, %3, %4, %5, %6, %7"
#define BITREEL_NAMES_1 "%8, %9, %10, %11, %12, %13, %14, %15"
#define BITREEL_NAMES_2 "%16, %17, %18, %19, %20, %21, %22, %23"
#define BITREEL_NAMES_3 "%24, %25, %26, %27, %28, %29, %30, %31"
#define BITREEL_NAMES_4 "%32, %33, %34, %35, %36, %37, %38, %39"
#define BITREEL_NAMES_5 "%40, %41, %42, %43, %44, %45, %46, %47"
#define BITREEL_NAMES_6 "%48, %49, %50, %51, %52, %53, %54, %55"
#define BITREEL_NAMES_7 "%56, %57, %58, %59, %60, %61, %62, %63"
#define BITREEL_8(kind, x, i)                                                                                 \
  kind(x[i]), kind(x[i + 1]), kind(x[i + 2]), kind(x[i + 3]), kind(x[i + 4]), kind(x[i + 5]), kind(x[i + 6]), \
      kind(x[i + 7])
#define BITREEL_32(kind, x, i) \
  BITREEL_8(kind, x, i), BITREEL_8(kind, x, i + 8), BITREEL_8(kind, x, i + 16), BITREEL_8(kind, x, i + 24)
#define BITREEL_4(kind, x, i) kind(x[i]), kind(x[i + 1]), kind(x[i + 2]), kind(x[i + 3])
#define BITREEL_NAMES_0_31 BITREEL_NAMES_0 ", " BITREEL_NAMES_1 ", " BITREEL_NAMES_2 ", " BITREEL_NAMES_3
#define BITREEL_NAMES_32_63 BITREEL_NAMES_4 ", " BITREEL_NAMES_5 ", " BITREEL_NAMES_6 ", " BITREEL_NAMES_7

// scores[64 x 128] (+)= queries[64 x 32] . keys[128 x 32]^T, int8 to int32 or e4m3 to the bits of fp32.
template <Product product>
__device__ __forceinline__ void multiply_scores(std::int32_t (&s)[64], std::uint64_t queries, std::uint64_t keys,
                                                Accumulate accumulate) {
  const int sum = accumulate == Accumulate::yes;
  if constexpr (product == Product::e4m3) {
    asm volatile(
        "{.reg .pred sum; setp.ne.b32 sum, %66, 0;"
        "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {" BITREEL_NAMES_0_31 ", " BITREEL_NAMES_32_63
        "}, %64, %65, sum, 1, 1;}"
        : BITREEL_32("+r", s, 0), BITREEL_32("+r", s, 32)
        : "l"(queries), "l"(keys), "r"(sum));
    return;
  }
  asm volatile(
      "{.reg .pred sum; setp.ne.b32 sum, %66, 0;"
      "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {" BITREEL_NAMES_0_31 ", " BITREEL_NAMES_32_63
      "}, %64, %65, sum;}"
      : BITREEL_32("+r", s, 0), BITREEL_32("+r", s, 32)
      : "l"(queries), "l"(keys), "r"(sum));
}

// output[64 x 72 or 136] += weights[64 x 32] (four registers) . values[32 x 72 or 136], e4m3.
__device__ __forceinline__ void multiply_values(float (&o)[36], const std::uint32_t* weights, std::uint64_t values) {
  asm volatile(
      "{.reg .pred sum; setp.ne.b32 sum, %41, 0;"
      "wgmma.mma_async.sync.aligned.m64n72k32.f32.e4m3.e4m3 {" BITREEL_NAMES_0_31
      ", %32, %33, %34, %35}, {%36, %37, %38, %39}, %40, sum, 1, 1;}"
      : BITREEL_32("+f", o, 0), BITREEL_4("+f", o, 32)
      : BITREEL_4("r", weights, 0), "l"(values), "r"(1));
}

__device__ __forceinline__ void multiply_values(float (&o)[68], const std::uint32_t* weights, std::uint64_t values) {
  asm volatile(
      "{.reg .pred sum; setp.ne.b32 sum, %73, 0;"
      "wgmma.mma_async.sync.aligned.m64n136k32.f32.e4m3.e4m3 {" BITREEL_NAMES_0_31 ", " BITREEL_NAMES_32_63
      ", %64, %65, %66, %67}, {%68, %69, %70, %71}, %72, sum, 1, 1;}"
      : BITREEL_32("+f", o, 0), BITREEL_32("+f", o, 32), BITREEL_4("+f", o, 64)
      : BITREEL_4("r", weights, 0), "l"(values), "r"(1));
}

#undef BITREEL_8
#undef BITREEL_32
#undef BITREEL_4
#undef BITREEL_NAMES_0_31
#undef BITREEL_NAMES_32_63
#undef BITREEL_NAMES_0
#undef BITREEL_NAMES_1
#undef BITREEL_NAMES_2
#undef BITREEL_NAMES_3
#undef BITREEL_NAMES_4
#undef BITREEL_NAMES_5
#undef BITREEL_NAMES_6
#undef BITREEL_NAMES_7

}  // namespace bitreel::cuda::sm90
