// A linear map whose products run in 8 bits (linear_precision.h), with its plain twin.
//
//   const QuantizedLinear map(weight, {.precision = LinearPrecision::int8});   // weight [out, in], which may go then
//   const at::Tensor y = map(x, bias);                                         // [..., in] -> [..., out], x's dtype
//
//   const QuantizedRows rows = quantize_rows(x, LinearPrecision::fp8, 448);    // one scale a row
//
// The library's product and the plain one have the same integers (or e4m3 numbers) and scales; they differ in the order
// of fp32 sums, and in bf16 by the result's rounding.
#pragma once

#include <ATen/core/Tensor.h>

#include "pipelines/layers/linear_precision.h"

namespace bitreel {

struct QuantizedRows {
  at::Tensor values;  // [rows, in] int8 or float8_e4m3fn
  at::Tensor scales;  // [rows, 1] fp32: what a value of 1 stands for
};

// x [rows, in]; the largest magnitude of a row becomes `largest`: 448 for e4m3, at most 127 for int8.
QuantizedRows quantize_rows(const at::Tensor& x, LinearPrecision precision, double largest);

class QuantizedLinear {
 public:
  QuantizedLinear(const at::Tensor& weight, const LinearOptions& options);

  // bias [out] or undefined.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x, const at::Tensor& bias) const;

 private:
  [[nodiscard]] at::Tensor product(const QuantizedRows& x) const;  // [rows, out] fp32, scaled

  LinearOptions options_;
  std::string_view library_;
  at::Tensor weight_;    // [out, in], or oneDNN's own blocks of it
  at::Tensor scales_;    // [out] fp32
  at::Tensor no_shift_;  // [out] zeros, for oneDNN
  std::int64_t in_ = 0, out_ = 0;
};

}  // namespace bitreel
