// The kernels of rows_plugin.h. Each is bound by memory: a row is read once into registers, worked on in fp32, written
// once. Sums go over the features of a row in an order that does not depend on the launch, so results repeat.
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include "pipelines/layers/cuda/rows_plugin.h"
#include "pipelines/layers/cuda/vectors.cuh"

namespace bitreel::cuda {
namespace {

constexpr int threads_of_a_row = 128;
constexpr int warp = 32;

struct Sum {
  __device__ static float of(float a, float b) { return a + b; }
};
struct Largest {
  __device__ static float of(float a, float b) { return fmaxf(a, b); }
};

// Over the first `Lanes` lanes' groups of a warp.
template <class Fold, int Lanes>
__device__ float fold_lanes(float x) {
#pragma unroll
  for (int offset = Lanes / 2; offset > 0; offset /= 2) x = Fold::of(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

// Over a block of threads_of_a_row; every thread gets the result. `slots` has one place a warp.
template <class Fold>
__device__ float fold_block(float x, float* slots) {
  x = fold_lanes<Fold, warp>(x);
  __syncthreads();  // the slots of the fold before have been read
  if (threadIdx.x % warp == 0) slots[threadIdx.x / warp] = x;
  __syncthreads();
  float all = slots[0];
#pragma unroll
  for (int i = 1; i < threads_of_a_row / warp; ++i) all = Fold::of(all, slots[i]);
  return all;
}

// One row a block; a thread holds `Held` vectors of it.
template <class T, int Held>
__global__ void __launch_bounds__(threads_of_a_row) norm_modulate_rows(const __grid_constant__ NormModulateCall call) {
  __shared__ float slots[threads_of_a_row / warp];
  const int dim = call.rows.dim, vectors = dim / vector;
  const std::int64_t row = blockIdx.x;
  const std::int64_t clip = row / call.rows.tokens;
  const int half = row % call.rows.tokens < call.rows.text_tokens ? 0 : 1;
  const T* const x = static_cast<const T*>(call.x) + row * dim;
  float values[Held][vector];
  float sum = 0;
#pragma unroll
  for (int i = 0; i < Held; ++i) {
    const int v = i * threads_of_a_row + threadIdx.x;
    if (v < vectors) {
      const Octet<T> octet = loaded(x + v * vector);
#pragma unroll
      for (int j = 0; j < vector; ++j) sum += values[i][j] = octet[j];
    }
  }
  const float mean = fold_block<Sum>(sum, slots) / static_cast<float>(dim);
  float squares = 0;
#pragma unroll
  for (int i = 0; i < Held; ++i) {
    if (i * threads_of_a_row + threadIdx.x < vectors) {
#pragma unroll
      for (int j = 0; j < vector; ++j) {
        values[i][j] -= mean;
        squares += values[i][j] * values[i][j];
      }
    }
  }
  const float factor = rsqrtf(fold_block<Sum>(squares, slots) / static_cast<float>(dim) + call.eps);
  const std::int64_t modulation = clip * call.rows.modulation_stride;
#pragma unroll
  for (int i = 0; i < Held; ++i) {
    const int v = i * threads_of_a_row + threadIdx.x;
    if (v < vectors) {
      const int at = v * vector;
      const Octet<T> weight = loaded(static_cast<const T*>(call.weight) + at);
      const Octet<T> bias = loaded(static_cast<const T*>(call.bias) + at);
      const Octet<T> shift = loaded(static_cast<const T*>(call.shift[half]) + modulation + at);
      const Octet<T> scale = loaded(static_cast<const T*>(call.scale[half]) + modulation + at);
#pragma unroll
      for (int j = 0; j < vector; ++j) {
        const float normed = values[i][j] * factor * weight[j] + bias[j];
        values[i][j] = normed * (1.0f + scale[j]) + shift[j];
      }
      store(static_cast<T*>(call.y) + row * dim + at, values[i]);
    }
  }
}

template <class T>
__global__ void gated_add_rows(const __grid_constant__ GatedAddCall call) {
  const int dim = call.rows.dim, vectors = dim / vector;
  const std::int64_t row = blockIdx.x;
  const std::int64_t clip = row / call.rows.tokens;
  const int half = row % call.rows.tokens < call.rows.text_tokens ? 0 : 1;
  const T* const gates = static_cast<const T*>(call.gate[half]) + clip * call.rows.modulation_stride;
  for (int v = threadIdx.x; v < vectors; v += blockDim.x) {
    const std::int64_t at = row * dim + v * vector;
    const Octet<T> x = loaded(static_cast<const T*>(call.x) + at);
    const Octet<T> update = loaded(static_cast<const T*>(call.update) + at);
    const Octet<T> gate = loaded(gates + v * vector);
    float sums[vector];
#pragma unroll
    for (int j = 0; j < vector; ++j) sums[j] = x[j] + gate[j] * update[j];
    store(static_cast<T*>(call.y) + at, sums);
  }
}

// A head's row is in Lanes neighbouring threads, a vector in each. Rows follow each other as they lie in qkv: token,
// then q or k, then head.
template <class T, int Lanes>
__global__ void norm_rotate_heads(const __grid_constant__ NormRotateCall call) {
  constexpr int dim = Lanes * vector;
  const int tokens = call.rows.tokens, heads = call.heads;
  const std::int64_t rows = std::int64_t{call.rows.clips} * tokens * 2 * heads;
  const std::int64_t thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const bool inside = thread / Lanes < rows;
  const std::int64_t row = inside ? thread / Lanes : rows - 1;  // whole warps take part in the sums
  const int head = static_cast<int>(row % heads), which = static_cast<int>(row / heads % 2);
  const std::int64_t place = row / (2 * heads);  // of the token among all clips'
  const int token = static_cast<int>(place % tokens), first = static_cast<int>(thread % Lanes) * vector;
  const std::int64_t from = ((place * 3 + which) * heads + head) * dim + first;
  const Octet<T> x = loaded(static_cast<const T*>(call.qkv) + from);
  float values[vector];
  float sum = 0;
#pragma unroll
  for (int j = 0; j < vector; ++j) sum += values[j] = x[j];
  const float mean = fold_lanes<Sum, Lanes>(sum) / dim;
  float squares = 0;
#pragma unroll
  for (int j = 0; j < vector; ++j) {
    values[j] -= mean;
    squares += values[j] * values[j];
  }
  const float factor = rsqrtf(fold_lanes<Sum, Lanes>(squares) / dim + call.eps[which]);
  const Octet<T> weight = loaded(static_cast<const T*>(call.weight[which]) + first);
  const Octet<T> bias = loaded(static_cast<const T*>(call.bias[which]) + first);
#pragma unroll
  for (int j = 0; j < vector; ++j) values[j] = values[j] * factor * weight[j] + bias[j];
  if (call.cos != nullptr && token >= call.rows.text_tokens) {
    const std::int64_t angle = std::int64_t{token - call.rows.text_tokens} * dim + first;
#pragma unroll
    for (int j = 0; j < vector; j += 2) {
      const float a = values[j], b = values[j + 1];
      values[j] = a * call.cos[angle + j] - b * call.sin[angle + j];
      values[j + 1] = b * call.cos[angle + j + 1] + a * call.sin[angle + j + 1];
    }
  }
  const std::int64_t to = ((place / tokens * heads + head) * tokens + token) * dim + first;
  if (inside) store(static_cast<T*>(call.out[which]) + to, values);
}

// One row a block; longer rows than a thread's registers hold are read again, from the cache.
template <class T>
__global__ void __launch_bounds__(threads_of_a_row) quantize_row(const __grid_constant__ QuantizeCall call) {
  __shared__ float slots[threads_of_a_row / warp];
  const int vectors = call.dim / vector;
  const std::int64_t row = blockIdx.x;
  const T* const x = static_cast<const T*>(call.x) + row * call.dim;
  float most = 0;
  bool finite = true;
  for (int v = threadIdx.x; v < vectors; v += threads_of_a_row) {
    const Octet<T> octet = loaded(x + v * vector);
#pragma unroll
    for (int j = 0; j < vector; ++j) {
      most = fmaxf(most, fabsf(octet[j]));
      finite = finite && octet[j] == octet[j];  // fmaxf passes NaN by
    }
  }
  most = fmaxf(fold_block<Largest>(most, slots), 1e-12f);
  if (__syncthreads_or(finite ? 0 : 1) != 0) most = nanf("");
  const float factor = call.largest / most;
  if (threadIdx.x == 0) call.scales[row] = most / call.largest;
  for (int v = threadIdx.x; v < vectors; v += threads_of_a_row) {
    const Octet<T> octet = loaded(x + v * vector);
    union {
      uint2 words;
      unsigned char bytes[vector];
    } out;
#pragma unroll
    for (int j = 0; j < vector; ++j) {
      const float scaled = octet[j] * factor;
      out.bytes[j] = call.to_e4m3 != 0 ? __nv_cvt_float_to_fp8(scaled, __NV_SATFINITE, __NV_E4M3)
                                       : static_cast<unsigned char>(static_cast<signed char>(__float2int_rn(scaled)));
    }
    *reinterpret_cast<uint2*>(static_cast<unsigned char*>(call.values) + row * call.dim + v * vector) = out.words;
  }
}

template <class T>
int launch_norm_modulate(const NormModulateCall& call, cudaStream_t stream) {
  const int rows = call.rows.clips * call.rows.tokens;
  const int held = (call.rows.dim / vector + threads_of_a_row - 1) / threads_of_a_row;
  switch (held) {
    case 1:
      norm_modulate_rows<T, 1><<<rows, threads_of_a_row, 0, stream>>>(call);
      break;
    case 2:
      norm_modulate_rows<T, 2><<<rows, threads_of_a_row, 0, stream>>>(call);
      break;
    case 3:
      norm_modulate_rows<T, 3><<<rows, threads_of_a_row, 0, stream>>>(call);
      break;
    case 4:
      norm_modulate_rows<T, 4><<<rows, threads_of_a_row, 0, stream>>>(call);
      break;
    default:
      norm_modulate_rows<T, 8><<<rows, threads_of_a_row, 0, stream>>>(call);
  }
  return cudaGetLastError();
}

template <class T, int Lanes>
int launch_norm_rotate(const NormRotateCall& call, cudaStream_t stream) {
  constexpr int threads = 256;
  const std::int64_t rows = std::int64_t{call.rows.clips} * call.rows.tokens * 2 * call.heads;
  const auto blocks = static_cast<unsigned>((rows * Lanes + threads - 1) / threads);
  norm_rotate_heads<T, Lanes><<<blocks, threads, 0, stream>>>(call);
  return cudaGetLastError();
}

// Calls with(T{}) for the element's type.
template <class With>
int by_element(RowElement element, const With& with) {
  return element == RowElement::bf16 ? with(__nv_bfloat16{}) : with(__half{});
}

int norm_modulate(const NormModulateCall& call, void* stream) {
  return by_element(call.rows.element, [&](auto one) {
    return launch_norm_modulate<decltype(one)>(call, static_cast<cudaStream_t>(stream));
  });
}

int gated_add(const GatedAddCall& call, void* stream) {
  return by_element(call.rows.element, [&](auto one) {
    const int rows = call.rows.clips * call.rows.tokens;
    gated_add_rows<decltype(one)><<<rows, threads_of_a_row, 0, static_cast<cudaStream_t>(stream)>>>(call);
    return static_cast<int>(cudaGetLastError());
  });
}

int norm_rotate(const NormRotateCall& call, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  return by_element(call.rows.element, [&](auto one) -> int {
    using T = decltype(one);
    switch (call.rows.dim / vector) {
      case 1:
        return launch_norm_rotate<T, 1>(call, on);
      case 2:
        return launch_norm_rotate<T, 2>(call, on);
      case 4:
        return launch_norm_rotate<T, 4>(call, on);
      case 8:
        return launch_norm_rotate<T, 8>(call, on);
      case 16:
        return launch_norm_rotate<T, 16>(call, on);
      case 32:
        return launch_norm_rotate<T, 32>(call, on);
      default:
        return cudaErrorInvalidValue;
    }
  });
}

int quantize(const QuantizeCall& call, void* stream) {
  return by_element(call.element, [&](auto one) {
    quantize_row<decltype(one)>
        <<<static_cast<unsigned>(call.rows), threads_of_a_row, 0, static_cast<cudaStream_t>(stream)>>>(call);
    return static_cast<int>(cudaGetLastError());
  });
}

constexpr RowsPlugin table = {rows_version, norm_modulate, gated_add, norm_rotate, quantize, group_norm};

}  // namespace
}  // namespace bitreel::cuda

extern "C" __attribute__((visibility("default"))) const bitreel::cuda::RowsPlugin* bitreel_cuda_rows(
    std::int64_t version) {
  return version == bitreel::cuda::rows_version ? &bitreel::cuda::table : nullptr;
}
