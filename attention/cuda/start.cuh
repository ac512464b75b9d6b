// Starting a kernel on a stream, in one place: what compiles kernels for another machine than a GPU starts them its
// way.
//
//   start(compact_keys, dim3(call.batch), threads, stream, source, call);
//   return last_start_error();   // a cudaError_t, 0 for none
#pragma once

#include <cuda_runtime.h>

#ifdef __CUDACC__
namespace bitreel::cuda {

template <class... Parameters, class... Arguments>
void start(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream, const Arguments&... arguments) {
  kernel<<<grid, threads, 0, stream>>>(arguments...);
}

inline int last_start_error() {
  return cudaGetLastError();
}

}  // namespace bitreel::cuda
#endif
