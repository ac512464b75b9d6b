// What a transformer does to queries and keys before they attend: LayerNorm over each head's channels, then rotary
// positions. Some kernels do it on their way to integers, which saves writing and reading both once.
//
//   const HeadNorms norms = {.q = {.weight = weight, .bias = bias, .eps = 1e-6},
//                            .k = {.weight = weight, .bias = bias, .eps = 1e-6}};
//   std::optional<at::Tensor> out = attend_before_norms(q, k, v, norms, {.precision = Precision::int8});
//   if (!out) out = attend(normed(q), normed(k), v, {.precision = Precision::int8});
//
// Rotation, in fp32: of neighbouring channels (a, b) at a token's angles, (a cos - b sin, b cos + a sin). The result is
// rounded to q's dtype. Source: diffusers attention_processor.py, CogVideoXAttnProcessor2_0.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitreel {

struct HeadNorms {
  struct Norm {
    at::Tensor weight, bias;  // [D] of q's dtype
    double eps = 0;
  };
  Norm q, k;
  at::Tensor cos = {}, sin = {};   // [N - first_rotated, D / 2] fp32; undefined when nothing is rotated
  std::int64_t first_rotated = 0;  // token: those before it have no angle
};

}  // namespace bitreel
