// What a transformer layer does between its matrix products, in two forms with one result: fused kernels that read and
// write every value once, and the same operations composed of LibTorch's, which read as the formulas.
//
//   const Modulations modulations{.text = text, .video = video, .text_tokens = 226};
//   const at::Tensor h = modulated_norm(norm, x, modulations, Elementwise::fused);
//
// Fused kernels exist for fp32 and bf16 on the CPU, and for bf16 and fp16 on a GPU where the plugin is and features
// come in eights; elsewhere `fused` means `composed`. GELU alone is LibTorch's on a GPU, one kernel as well; a block
// has it in the product before or in the quantization after (Linear::gelu_after, gelu_before). The VAE's norms have
// kernels for a GPU in fp32 too (vae_layers.h). x: [B, N, D], the first text_tokens rows of each clip are text.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <variant>

#include "pipelines/cogvideox/positions.h"
#include "pipelines/layers/modules.h"
#include "pipelines/layers/quantized_linear.h"
#include "pipelines/model/run_options.h"

namespace bitreel {

// The path that runs where `wanted` was asked for.
Elementwise path_of(Elementwise wanted, at::Device device, at::ScalarType dtype);

// What adaLN-zero makes of the timestep for one half of a block: shift and scale before, gate after; [B, 1, D] each, of
// which all clips may be the same memory (expand()).
struct Modulation {
  at::Tensor shift, scale, gate;
};

struct Modulations {
  Modulation text, video;
  std::int64_t text_tokens = 0;
};

struct QueryKeyValue {
  at::Tensor q, k, v;  // [B, H, N, head_dim]
};

// norm(x) * (1 + scale) + shift, text and video rows with their own modulation.
at::Tensor modulated_norm(const LayerNorm& norm, const at::Tensor& x, const Modulations& modulations, Elementwise path);

// x + gate * update, likewise.
at::Tensor gated_add(const at::Tensor& x, const at::Tensor& update, const Modulations& modulations, Elementwise path);

// The residual stream between two norms: gate * update is still to be added to x.
struct Residual {
  at::Tensor x;
  at::Tensor update = {};  // undefined where there is none
  Modulations gates = {};
};

// What a norm makes of it.
struct Normed {
  at::Tensor sum;                                // x + gate * update
  std::variant<at::Tensor, QuantizedRows> rows;  // its modulated norm, or that in 8 bits: [B N, D]
};

at::Tensor sum_of(const Residual& residual, Elementwise path);
// format: of the linear map that reads the rows, when it reads 8 bits (Linear::row_format). Where a kernel does all of
// it at once, sum and norm are rounded to x's dtype as they would be apart.
Normed normed(const Residual& residual, const LayerNorm& norm, const Modulations& modulations,
              const std::optional<RowFormat>& format, Elementwise path);

// qkv [B, N, 3, H, D] -> heads; q and k normed per head, their video rows rotated in fp32.
QueryKeyValue split_heads(const at::Tensor& qkv, const LayerNorm& norm_q, const LayerNorm& norm_k, const Rotary& rotary,
                          std::int64_t text_tokens, Elementwise path);

// The tanh form of GELU. May overwrite x.
at::Tensor gelu_tanh(const at::Tensor& x, Elementwise path);

}  // namespace bitreel
