// Barriers in shared memory, and TMA's copies that complete on them.
//
//   init(full, 1);                                             // one arrival a phase: the copying thread's
//   expect(full, bytes); copy_tile(tile, map, full, x, y, z);  // the copy adds its bytes when it lands
//   wait(full, parity);                                        // until the phase of that parity is over
//
// A barrier's first phase has parity 0. Waiting for parity 1 on a fresh barrier returns at once: that is how a ring's
// producer finds its stages empty to begin with. With BITREEL_BOUNDED_WAITS a wait that never ends traps instead.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace bitreel::cuda::sm90 {

using Barrier = std::uint64_t;

__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void init(Barrier* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals));
}

// Makes the barriers visible to the copy engine; a __syncthreads() makes them visible to the other threads.
__device__ __forceinline__ void fence_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void expect(Barrier* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ void arrive(Barrier* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

__device__ __forceinline__ void wait(Barrier* barrier, std::uint32_t parity) {
#ifdef BITREEL_BOUNDED_WAITS
  for (int tries = 0;; ++tries) {
    std::uint32_t done;
    asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
                 : "=r"(done)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
    if (done != 0) return;
    if (tries > BITREEL_BOUNDED_WAITS) __trap();
  }
#else
  asm volatile(
      "{.reg .pred done;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra over;\n"
      "bra again;\n"
      "over:}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
#endif
}

// A box of a tensor of three dimensions, from (x, y, z) on, its size as the map says; what is outside comes as zeros.
__device__ __forceinline__ void copy_tile(void* tile, const CUtensorMap* map, Barrier* barrier, int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
      "[%2];" ::"r"(shared_address(tile)),
      "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
      : "memory");
}

// Registers move between the warpgroups of a block: whole warpgroups call these.
template <int registers>
__device__ __forceinline__ void keep_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}

template <int registers>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

}  // namespace bitreel::cuda::sm90
