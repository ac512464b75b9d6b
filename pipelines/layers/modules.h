// The layers that models are built from: plain structs of tensors named as the checkpoint names them.
//
//   const Linear to_q(scope / "to_q", 256, 256);
//   const at::Tensor q = to_q(x);                      // [..., 256] -> [..., 256]
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "pipelines/checkpoint/loader.h"
#include "pipelines/layers/block_ring.h"
#include "pipelines/layers/linear_precision.h"
#include "pipelines/layers/products/products.h"

namespace bitreel {

enum class Bias { none, present };

class PanelLinear;
class QuantizedLinear;
struct QuantizedRows;
struct RowFormat;

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out], undefined without bias

  Linear() = default;
  Linear(const Scope& scope, std::int64_t in, std::int64_t out, Bias with = Bias::present,
         std::optional<at::ScalarType> dtype = {});
  at::Tensor operator()(const at::Tensor& x) const;

  // With GELU in the same pass: after a product in full precision (in panels both forms, cuBLASLt the tanh form), which
  // rounds once instead of twice; or, in 8 bits on GPUs, the tanh form before it, as x is quantized. Where they take x;
  // each has its twin in LibTorch's gelu and operator().
  [[nodiscard]] bool takes_gelu_after(const at::Tensor& x, Gelu form) const;
  [[nodiscard]] at::Tensor gelu_after(const at::Tensor& x, Gelu form) const;
  [[nodiscard]] bool takes_gelu_before(const at::Tensor& x) const;
  [[nodiscard]] at::Tensor gelu_before(const at::Tensor& x) const;

  // In 8 bits: the rows that operator() makes of x, which a pass before may have made already. [rows, in] to [rows,
  // out].
  [[nodiscard]] std::optional<RowFormat> row_format() const;
  [[nodiscard]] at::Tensor operator()(const QuantizedRows& rows) const;

  // For layers that run many times. In full precision on a CPU rearranges the weight once, which saves doing so in
  // every product: into panels where we multiply (panel_linear.h), into oneDNN's own blocks in bf16 with AVX-512;
  // elsewhere it stays. In 8 bits, or to be stored in them, quantizes it. `weight` is given up.
  // In full precision on a GPU our own calls of cuBLASLt multiply from then on where they are faster (cuda_product.h),
  // unless the path is plain: the same bits.
  void pack(const LinearOptions& options = {});
  void list_tensors(TensorList& list);

 private:
  // `weight`, turned back into this dtype where it is stored in fp8.
  [[nodiscard]] at::Tensor multiplied(at::ScalarType dtype) const;
  // factor: of multiplied().
  [[nodiscard]] bool calls_cublaslt(const at::Tensor& x, const at::Tensor& factor) const;

  LinearPath path_ = LinearPath::plain;  // in full precision
  at::Tensor packed_;
  at::Tensor scales_;  // [out, 1] fp32, of a weight that is stored in fp8
  std::shared_ptr<QuantizedLinear> quantized_;
  std::shared_ptr<PanelLinear> panels_;
};

struct LayerNorm {
  at::Tensor weight, bias;  // [features]
  double eps = 1e-5;

  LayerNorm() = default;
  LayerNorm(const Scope& scope, std::int64_t features, double eps);
  at::Tensor operator()(const at::Tensor& x) const;  // over the last dimension
  void list_tensors(TensorList& list) { list.insert(list.end(), {&weight, &bias}); }
};

struct GroupNorm {
  at::Tensor weight, bias;  // [channels]
  std::int64_t groups = 1;
  double eps = 1e-6;

  GroupNorm() = default;
  GroupNorm(const Scope& scope, std::int64_t channels, std::int64_t groups, double eps);
  at::Tensor operator()(const at::Tensor& x) const;  // [B, C, ...]
};

}  // namespace bitreel
