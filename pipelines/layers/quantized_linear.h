// A linear map whose products run in 8 bits (linear_precision.h), with its plain twin.
//
//   const QuantizedLinear map(weight, {.precision = LinearPrecision::int8});   // weight [out, in], which may go then
//   const at::Tensor y = map(x, bias);                                         // [..., in] -> [..., out], x's dtype
//
//   const QuantizedRows rows = quantize_rows(x, {LinearPrecision::fp8, 448});  // one scale a row
//
// Who makes the rows in 8 bits already, in the pass that computes them, hands them over:
//
//   const at::Tensor same = map(quantize_rows(x, map.row_format()), bias);
//
// The library's product and the plain one have the same integers (or e4m3 numbers) and scales; they differ in the order
// of fp32 sums, and in bf16 by the result's rounding.
#pragma once

#include <ATen/core/Tensor.h>

#include "pipelines/layers/block_ring.h"
#include "pipelines/layers/linear_precision.h"

namespace bitreel {

struct QuantizedRows {
  at::Tensor values;  // [rows, in] int8, uint8 or float8_e4m3fn
  at::Tensor scales;  // [rows, 1] fp32: what a value of 1 stands for
};

// The rows that a map reads: the largest magnitude of a row is `largest`, 448 for e4m3, at most 127 for int8.
struct RowFormat {
  LinearPrecision precision;
  double largest;
  bool offset = false;  // of int8: bytes of which 128 stands for 0, which x86's products take
};

// What is quantized of x: itself, or its GELU in the tanh form, rounded to x's dtype.
enum class RowActivation { none, gelu_tanh };

// x [rows, in].
QuantizedRows quantize_rows(const at::Tensor& x, const RowFormat& format,
                            RowActivation activation = RowActivation::none);
// A weight [out, in] in a byte a number: values.to(dtype) * scales is what it stands for.
QuantizedRows stored_in_fp8(const at::Tensor& weight);

class QuantizedLinear {
 public:
  QuantizedLinear(const at::Tensor& weight, const LinearOptions& options);

  // bias [out] or undefined.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x, const at::Tensor& bias,
                                      RowActivation activation = RowActivation::none) const;
  // rows: of row_format(). [rows, out] in the weight's dtype.
  [[nodiscard]] at::Tensor operator()(const QuantizedRows& rows, const at::Tensor& bias) const;
  [[nodiscard]] RowFormat row_format() const;
  void list_tensors(TensorList& list);

 private:
  [[nodiscard]] at::Tensor multiply(const QuantizedRows& x, const at::Tensor& bias, at::ScalarType dtype) const;
  // By oneDNN: of rows with an offset. [rows, out] in this dtype.
  [[nodiscard]] at::Tensor product_of_bytes(const QuantizedRows& x, const at::Tensor& bias, at::ScalarType dtype) const;
  [[nodiscard]] at::Tensor product(const QuantizedRows& x) const;  // [rows, out] fp32, scaled

  LinearOptions options_;
  std::string_view library_;
  at::Tensor weight_;     // [out, in], or oneDNN's own blocks of it
  at::Tensor scales_;     // [out] fp32
  at::Tensor no_shift_;   // [out] zeros, for oneDNN
  at::ScalarType dtype_;  // of the weight as given
  std::int64_t in_ = 0, out_ = 0;
};

}  // namespace bitreel
