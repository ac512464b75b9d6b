// elementwise.h's operations through the plugin's kernels for GPUs (pipelines/layers/cuda/): one pass each.
//
//   if (on_cuda::takes_rows(x)) return on_cuda::gated_add(x, update, modulations);
//
// Callers ask first whether the kernels take these sizes; where they don't, the composed form runs.
#pragma once

#include "pipelines/cogvideox/elementwise.h"

namespace bitreel::on_cuda {

// x [B, N, D].
bool takes_rows(const at::Tensor& x);
// qkv [B, N, 3, H, D].
bool takes_heads(const at::Tensor& qkv);

Normed normed(const Residual& residual, const LayerNorm& norm, const Modulations& modulations,
              const std::optional<RowFormat>& format);
at::Tensor gated_add(const at::Tensor& x, const at::Tensor& update, const Modulations& modulations);
QueryKeyValue split_heads(const at::Tensor& qkv, const LayerNorm& norm_q, const LayerNorm& norm_k, const Rotary& rotary,
                          std::int64_t text_tokens);

}  // namespace bitreel::on_cuda
