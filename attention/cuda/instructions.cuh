// The instructions of sm_80 and later that the mma.sync kernels are made of, one function each.
//
// Tiles of mma.m16n8: thread t of a warp holds of A rows t / 4 and t / 4 + 8, of B column t / 4, of C those rows and
// columns 2 (t % 4) and 2 (t % 4) + 1.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace bitreel::cuda {

inline __device__ unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// 16 bytes from global to shared memory, without a register between.
inline __device__ void copy_async(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
}
inline __device__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Until at most `Later` of this thread's groups of copies are under way.
template <int Later>
inline __device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Later) : "memory");
}

// Four 8x8 tiles of 16-bit numbers, or 8x16 of bytes: thread t gives the row t % 8 of tile t / 8.
inline __device__ void load_tiles(unsigned (&tiles)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(tiles[0]), "=r"(tiles[1]), "=r"(tiles[2]), "=r"(tiles[3])
               : "r"(shared_address(row)));
}

inline __device__ void mma_s8(int (&c)[4], const unsigned* a, unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
inline __device__ void mma_s4(int (&c)[4], const unsigned* a, unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// Unsigned times signed bytes.
inline __device__ void mma_u8(int (&c)[4], const unsigned* a, unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
inline __device__ void mma_e4m3([[maybe_unused]] float (&c)[4], [[maybe_unused]] const unsigned* a,
                                [[maybe_unused]] unsigned b0, [[maybe_unused]] unsigned b1) {
#if __CUDA_ARCH__ >= 890
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  __trap();  // the program picks the fp16 units there
#endif
}
inline __device__ void mma_fp16(float (&c)[4], const unsigned* a, unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// Sums in fp16: c[0] holds both columns of the first row, c[1] of the second.
inline __device__ void mma_fp16_sum(unsigned (&c)[2], const unsigned* a, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%0, %1};"
               : "+r"(c[0]), "+r"(c[1])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 2^x to about two units of the last place; 0 for -infinity.
inline __device__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The nearest e4m3 numbers of four floats, the first in the lowest byte; beyond 448 to 448.
inline __device__ unsigned pack_e4m3([[maybe_unused]] float a, [[maybe_unused]] float b, [[maybe_unused]] float c,
                                     [[maybe_unused]] float d) {
  unsigned word = 0;
#if __CUDA_ARCH__ >= 890
  asm("{.reg .b16 low, high; cvt.rn.satfinite.e4m3x2.f32 low, %2, %1; cvt.rn.satfinite.e4m3x2.f32 high, %4, %3; "
      "mov.b32 %0, {low, high};}"
      : "=r"(word)
      : "f"(a), "f"(b), "f"(c), "f"(d));
#endif
  return word;
}

// The nearest e4m3 number of x in [0, 448], as a float: for units that know none.
inline __device__ float round_to_e4m3(float x) {
  constexpr float least_normal = 0.015625f, to_steps_of_2_to_minus_9 = 12582912.0f / 512;
  if (x < least_normal) return (x + to_steps_of_2_to_minus_9) - to_steps_of_2_to_minus_9;
  const unsigned bits = __float_as_uint(fminf(x, 448.0f));
  return __uint_as_float((bits + 0x7ffffu + (bits >> 20 & 1)) & ~0xfffffu);
}

inline __device__ unsigned pack_halves(float a, float b) {
  const __half2 both = __floats2half2_rn(a, b);
  return *reinterpret_cast<const unsigned*>(&both);
}

// The nearest integers of four floats in [0, 255].
inline __device__ unsigned pack_bytes(float a, float b, float c, float d) {
  constexpr float whole = 12582912.0f;  // beyond 2^23 the lowest bits of a float are its integer
  const unsigned low = __byte_perm(__float_as_uint(a + whole), __float_as_uint(b + whole), 0x0040);
  const unsigned high = __byte_perm(__float_as_uint(c + whole), __float_as_uint(d + whole), 0x0040);
  return __byte_perm(low, high, 0x5410);
}

}  // namespace bitreel::cuda
