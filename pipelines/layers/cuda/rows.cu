// The kernels of rows_plugin.h. Each is bound by memory: a row is read once into registers, worked on in fp32, written
// once. Sums go over the features of a row in an order that does not depend on the launch, so results repeat.
#include <cuda_runtime.h>

#include <type_traits>

#include "attention/cuda/head_norm.cuh"
#include "attention/cuda/start.cuh"
#include "attention/cuda/vectors.cuh"
#include "pipelines/layers/cuda/eight_bits.cuh"
#include "pipelines/layers/cuda/folds.cuh"
#include "pipelines/layers/cuda/rows_plugin.h"

namespace bitreel::cuda {
namespace {

// Of a row among all clips'. In 32 bits: a division in 64 takes as long as the rest of a short row's work.
struct Place {
  std::int64_t clip;
  int token;
  __device__ Place(unsigned row, int tokens)
      : clip(row / static_cast<unsigned>(tokens)), token(static_cast<int>(row % static_cast<unsigned>(tokens))) {}
};

// One row a block; a thread holds `Held` vectors of it.
enum class Added { nothing, update };
enum class Written { rows, eight_bits };

template <class T, int Held, Added Adds, Written Writes>
__global__ void __launch_bounds__(threads_of_a_row) norm_modulate_rows(const __grid_constant__ NormModulateCall call) {
  __shared__ float slots[threads_of_a_row / warp];
  const int dim = call.rows.dim, vectors = dim / vector;
  const std::int64_t row = blockIdx.x;
  const Place place(blockIdx.x, call.rows.tokens);
  const int half = place.token < call.rows.text_tokens ? 0 : 1;
  const std::int64_t modulation = place.clip * call.rows.modulation_stride;
  const T* const x = static_cast<const T*>(call.x) + row * dim;
  float values[Held][vector];
  float sum = 0;
#pragma unroll
  for (int i = 0; i < Held; ++i) {
    const int v = own_vector(i);
    if (v < vectors) {
      Octet<T> octet = loaded(x + v * vector);
      if constexpr (Adds == Added::update) {
        const std::int64_t at = row * dim + v * vector;
        const Octet<T> update = loaded(static_cast<const T*>(call.update) + at);
        const Octet<T> gate =
            loaded(static_cast<const T*>(call.gate[half]) + place.clip * call.gate_stride + v * vector);
#pragma unroll
        for (int j = 0; j < vector; ++j) narrow(octet[j] + gate[j] * update[j], octet.values[j]);
        store(static_cast<T*>(call.sum) + at, octet);
      }
#pragma unroll
      for (int j = 0; j < vector; ++j) sum += values[i][j] = octet[j];
    }
  }
  const float mean = fold_block<Sum>(sum, slots) / static_cast<float>(dim);
  float squares = 0;
#pragma unroll
  for (int i = 0; i < Held; ++i) {
    if (own_vector(i) < vectors) {
#pragma unroll
      for (int j = 0; j < vector; ++j) {
        values[i][j] -= mean;
        squares += values[i][j] * values[i][j];
      }
    }
  }
  const float factor = rsqrtf(fold_block<Sum>(squares, slots) / static_cast<float>(dim) + call.eps);
  Octet<T> rounded[Writes == Written::eight_bits ? Held : 1];
#pragma unroll
  for (int i = 0; i < Held; ++i) {
    const int v = own_vector(i);
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
        if constexpr (Writes == Written::eight_bits) narrow(values[i][j], rounded[i].values[j]);
      }
      if constexpr (Writes == Written::rows) store(static_cast<T*>(call.y) + row * dim + at, values[i]);
    }
  }
  if constexpr (Writes == Written::eight_bits) write_in_eight_bits(rounded, vectors, row, call.to, slots);
}

template <class T>
__global__ void gated_add_rows(const __grid_constant__ GatedAddCall call) {
  const int dim = call.rows.dim, vectors = dim / vector;
  const std::int64_t row = blockIdx.x;
  const Place place(blockIdx.x, call.rows.tokens);
  const int half = place.token < call.rows.text_tokens ? 0 : 1;
  const T* const gates = static_cast<const T*>(call.gate[half]) + place.clip * call.rows.modulation_stride;
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
  const unsigned tokens = call.rows.tokens, heads = call.heads;
  const unsigned rows = call.rows.clips * tokens * 2 * heads;
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  const bool inside = thread / Lanes < rows;
  const unsigned row = inside ? thread / Lanes : rows - 1;  // whole warps take part in the sums
  const unsigned of_token = row / heads;                    // q or k of a token
  const int head = static_cast<int>(row % heads), which = static_cast<int>(of_token % 2);
  const Place place(of_token / 2, call.rows.tokens);
  const int first = static_cast<int>(thread % Lanes) * vector;
  const std::int64_t from = ((std::int64_t{of_token / 2} * 3 + which) * heads + head) * dim + first;
  const Octet<T> x = loaded(static_cast<const T*>(call.qkv) + from);
  const HeadNormVector<T> norm(call.weight[which], call.bias[which], first, call.eps[which]);
  const int angle = angle_at(call.cos, place.token, call.rows.text_tokens, dim, first);
  float values[vector];
  norm.template apply<Lanes>(x, call.cos, call.sin, angle, values);
  const std::int64_t to = ((place.clip * heads + head) * tokens + place.token) * dim + first;
  if (inside) store(static_cast<T*>(call.out[which]) + to, values);
}

// One row a block, read once.
template <class T, int Held, BeforeQuantizing Before>
__global__ void __launch_bounds__(threads_of_a_row) quantize_row(const __grid_constant__ QuantizeCall call) {
  __shared__ float slots[threads_of_a_row / warp];
  const int vectors = call.dim / vector;
  const std::int64_t row = blockIdx.x;
  const T* const x = static_cast<const T*>(call.x) + row * call.dim;
  Octet<T> held[Held];
#pragma unroll
  for (int i = 0; i < Held; ++i) {
    const int v = own_vector(i);
    if (v < vectors) held[i].load(x + v * vector);
  }
  if constexpr (Before == BeforeQuantizing::gelu_tanh) {
#pragma unroll
    for (int i = 0; i < Held; ++i) {
      if (own_vector(i) < vectors) {
#pragma unroll
        for (int j = 0; j < vector; ++j) narrow(gelu_tanh(held[i][j]), held[i].values[j]);
      }
    }
  }
  write_in_eight_bits(held, vectors, row, call.to, slots);
}

// Calls with(integral_constant) for the least of these numbers of vectors that a thread has to hold.
template <int Least, int... More, class With>
int by_vectors_held(int dim, const With& with) {
  if constexpr (sizeof...(More) > 0) {
    if (dim > Least * threads_of_a_row * vector) return by_vectors_held<More...>(dim, with);
  }
  return with(std::integral_constant<int, Least>{});
}

template <class T, Added Adds, Written Writes>
int launch_norm_modulate(const NormModulateCall& call, cudaStream_t stream) {
  return by_vectors_held<1, 2, 3, 4, 8>(call.rows.dim, [&](auto held) {
    constexpr int count = decltype(held)::value;
    const dim3 rows(call.rows.clips * call.rows.tokens);
    start(norm_modulate_rows<T, count, Adds, Writes>, rows, threads_of_a_row, stream, call);
    return last_start_error();
  });
}

template <class T>
int launch_quantize(const QuantizeCall& call, cudaStream_t stream) {
  return by_vectors_held<1, 2, 3, 4, 8, 12, 32>(call.dim, [&](auto held) {
    constexpr int count = decltype(held)::value;
    const auto kernel = call.before == BeforeQuantizing::nothing ? quantize_row<T, count, BeforeQuantizing::nothing>
                                                                 : quantize_row<T, count, BeforeQuantizing::gelu_tanh>;
    start(kernel, dim3(static_cast<unsigned>(call.rows)), threads_of_a_row, stream, call);
    return last_start_error();
  });
}

template <class T, int Lanes>
int launch_norm_rotate(const NormRotateCall& call, cudaStream_t stream) {
  constexpr int threads = 256;
  const std::int64_t rows = std::int64_t{call.rows.clips} * call.rows.tokens * 2 * call.heads;
  const auto blocks = static_cast<unsigned>((rows * Lanes + threads - 1) / threads);
  start(norm_rotate_heads<T, Lanes>, dim3(blocks), threads, stream, call);
  return last_start_error();
}

// Calls with(T{}) for the element's type.
template <class With>
int by_element(RowElement element, const With& with) {
  return element == RowElement::bf16 ? with(__nv_bfloat16{}) : with(__half{});
}

int norm_modulate(const NormModulateCall& call, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  return by_element(call.rows.element, [&](auto one) {
    using T = decltype(one);
    if (call.update == nullptr) {
      return call.y != nullptr ? launch_norm_modulate<T, Added::nothing, Written::rows>(call, on)
                               : launch_norm_modulate<T, Added::nothing, Written::eight_bits>(call, on);
    }
    return call.y != nullptr ? launch_norm_modulate<T, Added::update, Written::rows>(call, on)
                             : launch_norm_modulate<T, Added::update, Written::eight_bits>(call, on);
  });
}

int gated_add(const GatedAddCall& call, void* stream) {
  return by_element(call.rows.element, [&](auto one) {
    const dim3 rows(call.rows.clips * call.rows.tokens);
    start(gated_add_rows<decltype(one)>, rows, threads_of_a_row, static_cast<cudaStream_t>(stream), call);
    return last_start_error();
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
  return by_element(call.element,
                    [&](auto one) { return launch_quantize<decltype(one)>(call, static_cast<cudaStream_t>(stream)); });
}

constexpr RowsPlugin table = {rows_version, norm_modulate, gated_add, norm_rotate, quantize, group_norm, guided_step};

}  // namespace
}  // namespace bitreel::cuda

extern "C" __attribute__((visibility("default"))) const bitreel::cuda::RowsPlugin* bitreel_cuda_rows(
    std::int64_t version) {
  return version == bitreel::cuda::rows_version ? &bitreel::cuda::table : nullptr;
}
