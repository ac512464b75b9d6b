// The layers that models are built from: plain structs of tensors named as the checkpoint names them.
//
//   const Linear to_q(scope / "to_q", 256, 256);
//   const at::Tensor q = to_q(x);                      // [..., 256] -> [..., 256]
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "pipelines/checkpoint/loader.h"
#include "pipelines/layers/linear_precision.h"

namespace bitreel {

enum class Bias { none, present };

class QuantizedLinear;

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out], undefined without bias

  Linear() = default;
  Linear(const Scope& scope, std::int64_t in, std::int64_t out, Bias with = Bias::present,
         std::optional<at::ScalarType> dtype = {});
  at::Tensor operator()(const at::Tensor& x) const;
  // For layers that run many times. In full precision rearranges the weight once into oneDNN's own blocks, which saves
  // doing so in every product (bf16 on the CPU only, elsewhere nothing happens); in 8 bits quantizes it. `weight` is
  // given up.
  void pack(const LinearOptions& options = {});

 private:
  at::Tensor packed_;
  std::shared_ptr<const QuantizedLinear> quantized_;
};

struct LayerNorm {
  at::Tensor weight, bias;  // [features]
  double eps = 1e-5;

  LayerNorm() = default;
  LayerNorm(const Scope& scope, std::int64_t features, double eps);
  at::Tensor operator()(const at::Tensor& x) const;  // over the last dimension
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
