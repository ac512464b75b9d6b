// The integers and scales that a recipe makes of q, k and v, as tensors to look at: what the oracle computes with, and
// what the kernels' packed bytes are compared with, bit for bit.
//
//   const QuantizedTokens k = quantize_keys(head_of_k, recipe);   // [N, D] in, any floating dtype
//   const at::Tensor close_to_k = k.integers * k.scales.unsqueeze(1) + k.mean;
//
// Of one (batch, head), finite, without the keys that a mask leaves out. Arithmetic: attention/recipe.h.
#pragma once

#include <ATen/core/Tensor.h>

#include "attention/recipe.h"

namespace bitreel {

struct QuantizedTokens {
  at::Tensor integers;  // [N, D] int8
  at::Tensor scales;    // fp32, of each token's group: [N], with channel groups [N, channel groups]
  at::Tensor smoothed;  // [N, D] fp32: what was quantized, x - mean
  at::Tensor mean;      // fp32, keys [1, D], queries [blocks of 128, D]; zeros without smoothing
};

QuantizedTokens quantize_queries(const at::Tensor& q, const Recipe& recipe);
QuantizedTokens quantize_keys(const at::Tensor& k, const Recipe& recipe);

struct QuantizedValues {
  at::Tensor values;  // [N, D] fp32 that hold integers, fp16 or E4M3 numbers
  at::Tensor scales;  // [D] fp32
  at::Tensor mean;    // [D] fp32: what outputs get back; zeros without smoothing, unless it is exact
};

QuantizedValues quantize_values(const at::Tensor& v, const Recipe& recipe);

// [N, channel groups] -> [N, dim]: to each channel its group's.
at::Tensor of_each_channel(const at::Tensor& scales, std::int64_t channels, std::int64_t dim);

// To the nearest E4M3 number, fp32 or fp64 in and out; beyond 448 to 448.
at::Tensor round_to_e4m3(const at::Tensor& x);

}  // namespace bitreel
