// CUDA kernels as host code: a .cu file that is compiled as C++ after this header runs on the CPU, thread by thread.
//
//   g++ -x c++ -include tests/attention/cuda/cuda_on_host.h -I <CUDA>/include attention/cuda/quantize.cu
//   cuda::quantize_heads(source, recipe, call, nullptr);   // has run when it returns; its memory is the host's
//
// Every thread of a block is a context of its own, and blocks come one after the other. A thread runs until it waits
// for others, at __syncthreads() or a warp's exchange, which is also when numbers pass between threads: code that
// relies on an order it has not asked for gives the same wrong numbers at every run. What the types, conversions and
// constants of CUDA's headers mean on a host is theirs (cuda_fp16.h and others); kernels start through
// attention/cuda/start.cuh. Whole warps only, and every thread of a block has to come to each exchange. No tensor
// cores, no asynchronous copies.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

// NOLINTBEGIN(bugprone-reserved-identifier): the names are CUDA's
#undef __shared__
#define __shared__ static  // of the block that runs
#define __launch_bounds__(...)

using std::isfinite;
using std::isnan;

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

namespace bitreel::cuda_on_host {

// Runs `body` as each thread of each block of the grid.
void run_grid(dim3 grid, int threads, const std::function<void()>& body);

// Until all of the running thread's block or warp have come here.
void meet_block();
void meet_warp();

// 8 bytes from every thread of the block, of the exchange that is going on.
std::uint64_t& box_of(unsigned thread);
// Exchanges follow each other: each has the boxes that the last has not.
void next_boxes();

// What `from` gave, a lane of the running thread's warp.
template <class T>
T exchange(T given, unsigned from) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::memcpy(&box_of(threadIdx.x), &given, sizeof(T));
  meet_warp();
  T taken;
  std::memcpy(&taken, &box_of(threadIdx.x / 32 * 32 + from), sizeof(T));
  next_boxes();
  return taken;
}

}  // namespace bitreel::cuda_on_host

inline void __syncthreads() {
  bitreel::cuda_on_host::meet_block();
}

template <class T>
T __shfl_xor_sync(unsigned /*everybody*/, T given, int difference) {
  return bitreel::cuda_on_host::exchange(given, threadIdx.x % 32 ^ static_cast<unsigned>(difference));
}

// Of lane `from` of each group of so many.
template <class T>
T __shfl_sync(unsigned /*everybody*/, T given, int from, int group) {
  return bitreel::cuda_on_host::exchange(given, threadIdx.x % 32 / group * group + static_cast<unsigned>(from));
}

inline unsigned __ballot_sync(unsigned /*everybody*/, bool given) {
  unsigned ballot = given ? 1u << threadIdx.x % 32 : 0;
  for (int difference = 1; difference < 32; difference *= 2) ballot |= __shfl_xor_sync(~0u, ballot, difference);
  return ballot;
}

inline int __syncthreads_or(bool given) {
  static int any;
  if (threadIdx.x == 0) any = 0;
  __syncthreads();
  any |= given ? 1 : 0;
  __syncthreads();
  const int result = any;
  __syncthreads();
  return result;
}

template <class T>
T atomicMax(T* at, T given) {
  return std::exchange(*at, std::max(*at, given));
}
template <class T>
T atomicAdd(T* at, T given) {
  return std::exchange(*at, static_cast<T>(*at + given));
}

template <class T>
T __ldcg(const T* from) {
  return *from;
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
// Within what these promise on a GPU.
inline float __expf(float x) {
  return std::exp(x);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline long long __double2ll_rn(double x) {
  return std::llrint(x);
}
inline int __float2int_rn(float x) {
  return isnan(x) ? 0 : static_cast<int>(std::lrint(x));
}
inline float rsqrtf(float x) {
  return 1 / std::sqrt(x);
}
inline int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 32; i += 8) sum += static_cast<std::int8_t>(a >> i) * static_cast<std::int8_t>(b >> i);
  return sum;
}
// Of halves of words.
inline unsigned __vmaxu2(unsigned a, unsigned b) {
  return std::max(a & 0xffffu, b & 0xffffu) | std::max(a >> 16, b >> 16) << 16;
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
// Bytes 0 to 3 are a's, 4 to 7 b's; the selector's lowest hexadecimal digit says which is the result's lowest byte.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const std::uint64_t both = std::uint64_t{b} << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) result |= static_cast<unsigned>(both >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
  return result;
}
// NOLINTEND(bugprone-reserved-identifier)
inline int min(int a, int b) {
  return std::min(a, b);
}
inline int max(int a, int b) {
  return std::max(a, b);
}
inline unsigned max(unsigned a, unsigned b) {
  return std::max(a, b);
}

namespace bitreel::cuda {

template <class... Parameters, class... Arguments>
void start(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t /*stream*/,
           const Arguments&... arguments) {
  cuda_on_host::run_grid(grid, threads, [&] { kernel(arguments...); });
}
template <class... Parameters, class... Arguments>
void start_early(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream,
                 const Arguments&... arguments) {
  start(kernel, grid, threads, stream, arguments...);
}
inline void let_next_begin() {}
inline void await_turn() {}
inline void await_turn_once() {}
inline void take_turn() {}
// The runtime's, which would have to be linked.
inline int last_start_error() {
  return cudaSuccess;
}

}  // namespace bitreel::cuda
