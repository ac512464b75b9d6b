// Products of rows with a linear layer's weight, summed in fp32 registers, with bias and GELU before the one rounding.
//
//   const ProductKernels<float>* kernels = product_kernels<float>();   // null where LibTorch's products are the better
//   const ProductWeight<float> weight{.panels = panels, .bias = bias, .in = 256, .out = 1024};
//   kernels->multiply(x, rows, weight, Gelu::none, y);                 // [rows, 256] -> [rows, 1024]
//
// For x86 with AVX2 and without AVX-512, where MKL's reaches 60 % of what the registers can do (on Zen 3), and LibTorch
// has none for bf16. Framework-free: pointers and lengths in elements.
//
// A panel holds 24 outputs side by side, [in][24]: four rows' sums of these fill twelve registers, and an input costs
// seven loads for twelve multiplications, which leaves a core time for them (Goto and van de Geijn, Anatomy of
// High-Performance Matrix Multiplication, ACM TOMS 34 (3), 2008, says how the blocks nest). Every sum runs over the
// inputs in order: rows give the same bits whatever stands beside them.
#pragma once

#include <cstdint>

#include "base/half.h"

namespace bitreel {

inline constexpr std::int64_t panel_outputs = 24;
inline constexpr std::int64_t most_product_rows = 96;  // of one call: what of x stays near while the panels pass

enum class Gelu { none, erf, tanh };

template <class T>
struct ProductWeight {
  const T* panels;  // [out / 24, in, 24], the last filled up with anything
  const T* bias;    // [out], or null
  std::int64_t in, out;
};

template <class T>
struct ProductKernels {
  void (*multiply)(const T* x, std::int64_t rows, const ProductWeight<T>& weight, Gelu gelu, T* y);
};

template <class T>
const ProductKernels<T>* product_kernels();
template <>
const ProductKernels<float>* product_kernels<float>();
template <>
const ProductKernels<Bf16>* product_kernels<Bf16>();

}  // namespace bitreel
