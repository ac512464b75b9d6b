// The transformer's memory-bound operations on rows of features, one pass each, one build per instruction set.
//
//   const RowKernels<Bf16>& rows = row_kernels<Bf16>();     // the widest set that this CPU has
//   rows.gelu_tanh(hidden, count);
//
// Framework-free: pointers and lengths in elements. Arithmetic is fp32, results are rounded once to T, so bf16 results
// are nearer to exact ones than the same operations composed one by one.
#pragma once

#include <cstdint>

#include "base/half.h"

namespace bitreel {

// y = norm(x) * (1 + scale) + shift, norm with weight and bias over `dim` features.
template <class T>
struct NormModulate {
  const T *weight, *bias, *shift, *scale;  // [dim]
  float eps;
  std::int64_t dim;
};

// The features of a head that norm_rotate has room for (configs allow no more: config.cpp).
inline constexpr std::int64_t longest_head = 512;

// y = rotate(norm(x)) for one head; cos and sin [rows, dim / 2] fp32, or null for rows that are not rotated.
template <class T>
struct NormRotate {
  const T *weight, *bias;  // [dim]
  const float *cos, *sin;
  float eps;
  std::int64_t dim;       // even, at most longest_head
  std::int64_t x_stride;  // elements from one row of x to the next; y is packed
};

// Rows in bytes of which 128 stands for 0: byte = 128 + x largest / magnitude to the nearest, scale = magnitude /
// largest, magnitude a row's largest one, at least least_magnitude.
struct RowBytes {
  std::uint8_t* values;  // packed
  float* scales;         // one for each row
  float largest;         // at most 127
};
inline constexpr float least_magnitude = 1e-12f;  // so that rows of zeros have a scale

// Values of a task for a thread: large enough to pay for handing it over.
inline constexpr std::int64_t values_per_task = 16384;

template <class T>
struct RowKernels {
  const char* name;
  void (*norm_modulate)(const T* x, const NormModulate<T>& p, std::int64_t rows, T* y);
  void (*norm_rotate)(const T* x, const NormRotate<T>& p, std::int64_t rows, T* y);
  // y = x + gate * update, gate [dim] for every row.
  void (*gated_add)(const T* x, const T* update, const T* gate, std::int64_t dim, std::int64_t rows, T* y);
  // In place: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks & Gimpel, arXiv 1606.08415).
  void (*gelu_tanh)(T* x, std::int64_t count);
  void (*quantize)(const T* x, std::int64_t dim, std::int64_t rows, const RowBytes& to);
  // y = x scale + bias: a scale for each row, bias [dim] or null.
  void (*scale)(const float* x, const float* scales, const T* bias, std::int64_t dim, std::int64_t rows, T* y);
};

template <class T>
const RowKernels<T>& row_kernels();
template <>
const RowKernels<float>& row_kernels<float>();
template <>
const RowKernels<Bf16>& row_kernels<Bf16>();

}  // namespace bitreel
