// Starting a kernel on a stream, in one place: what compiles kernels for another machine than a GPU starts them its
// way.
//
//   start(compact_keys, dim3(call.batch), threads, stream, source, call);
//   return last_start_error();   // a cudaError_t, 0 for none
//
// start_early() lets a kernel onto multiprocessors as the one before leaves them, on GPUs since Hopper (programmatic
// dependent launch): it begins with take_turn(), which waits for the end of all that came before. Where a kernel needs
// less, it calls let_next_begin(), and await_turn() in some blocks alone: the end of a kernel has to mean the end of
// all before it.
#pragma once

#include <cuda_runtime.h>

#ifdef __CUDACC__
namespace bitreel::cuda {

template <class... Parameters, class... Arguments>
void start(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream, const Arguments&... arguments) {
  kernel<<<grid, threads, 0, stream>>>(arguments...);
}

template <class... Parameters, class... Arguments>
void start_early(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream,
                 const Arguments&... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);  // last_start_error() has its error
}

// The next kernel may come onto multiprocessors, once all blocks have said so.
inline __device__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// What came before is over, its memory can be read.
inline __device__ void await_turn() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// At the end of a kernel whose blocks did not wait: one of them does.
inline __device__ void await_turn_once() {
  if (blockIdx.x + blockIdx.y + blockIdx.z == 0) await_turn();
}

inline __device__ void take_turn() {
  let_next_begin();
  await_turn();
}

inline int last_start_error() {
  return cudaGetLastError();
}

}  // namespace bitreel::cuda
#endif
