// The kernel of guided_step_call.h. Products and sums are not contracted: LibTorch rounds each.
#include <cuda_runtime.h>

#include "attention/cuda/start.cuh"
#include "attention/cuda/vectors.cuh"
#include "pipelines/layers/cuda/by_element.cuh"
#include "pipelines/layers/cuda/guided_step_call.h"

namespace bitreel::cuda {
namespace {

constexpr int step_threads = 256;

__device__ float rounded(float x, float) {
  return x;
}
template <class T>
__device__ float rounded(float x, T) {
  T narrowed;
  narrow(x, narrowed);
  return to_float(narrowed);
}

template <class T>
__global__ void step_vectors(const __grid_constant__ GuidedStepCall call) {
  const std::int64_t at = (std::int64_t{blockIdx.x} * step_threads + threadIdx.x) * vector;
  if (at >= call.numbers) return;
  const auto product = [](float a, float b) { return __fmul_rn(a, b); };
  const auto sum = [](float a, float b) { return __fadd_rn(a, b); };
  const Octet<T> sample = loaded(static_cast<const T*>(call.sample) + at);
  const Octet<T> first = loaded(static_cast<const T*>(call.prediction[0]) + at);
  const Octet<T> second = call.prediction[1] ? loaded(static_cast<const T*>(call.prediction[1]) + at) : first;
  const Octet<T> drawn = call.drawn ? loaded(static_cast<const T*>(call.drawn) + at) : sample;
  float next[vector], original[vector], previous[vector] = {};
  if (call.previous != nullptr) {
    const Octet<float> before = loaded(call.previous + at);
#pragma unroll
    for (int i = 0; i < vector; ++i) previous[i] = before[i];
  }
#pragma unroll
  for (int i = 0; i < vector; ++i) {
    float v = first[i];
    if (call.prediction[1] != nullptr) v = sum(v, product(call.guidance, sum(second[i], -v)));
    original[i] = sum(rounded(product(call.signal, sample[i]), T{}), -product(call.noise, v));
    float denoised = original[i];
    if (call.previous != nullptr) denoised = sum(product(call.fresh, original[i]), -product(call.stale, previous[i]));
    next[i] = sum(rounded(product(call.keep, sample[i]), T{}), product(call.pull, denoised));
    if (call.drawn != nullptr) next[i] = sum(next[i], rounded(product(call.stir, drawn[i]), T{}));
  }
  store(static_cast<T*>(call.next) + at, next);
  store(call.original + at, original);
}

template <class T>
int launch_step(const GuidedStepCall& call, cudaStream_t stream) {
  const std::int64_t of_block = std::int64_t{step_threads} * vector;
  start(step_vectors<T>, dim3(static_cast<unsigned>((call.numbers + of_block - 1) / of_block)), step_threads, stream,
        call);
  return last_start_error();
}

}  // namespace

int guided_step(const GuidedStepCall& call, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  return by_element(call.element, [&](auto one) { return launch_step<decltype(one)>(call, on); });
}

}  // namespace bitreel::cuda
