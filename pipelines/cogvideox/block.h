// One layer of the CogVideoX transformer: modulated norms, joint attention with rotary positions, feed-forward.
//
//   const at::Tensor modulation = block.modulation(time);    // of all steps at once: time [steps, time_embed_dim]
//   residual = block(std::move(residual), modulation.narrow(0, step, 1), text_tokens, rotary,
//                    {.layer = 0, .attention = full_attention()});
//   x = sum_of(residual, Elementwise::fused);
//
// x: [B, text + video, D]; what a block adds last is added by the norm of the next (Residual). Source: diffusers
// cogvideox_transformer_3d.py, CogVideoXBlock.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "pipelines/cogvideox/config.h"
#include "pipelines/cogvideox/elementwise.h"
#include "pipelines/cogvideox/positions.h"
#include "pipelines/layers/modules.h"
#include "pipelines/model/layer_attention.h"

namespace bitreel {

class TransformerBlock {
 public:
  // Which layer this is of those that `attention` knows.
  struct Attends {
    std::int64_t layer;
    const LayerAttention& attention;
  };

  // linear: of the four products over all tokens; the others see one row a step.
  TransformerBlock(const Scope& scope, const TransformerConfig& config, Elementwise elementwise,
                   const LinearOptions& linear = {});

  // time: [steps, time_embed_dim] after SiLU. What it says to this block: [steps, 12 D].
  [[nodiscard]] at::Tensor modulation(const at::Tensor& time) const;
  // modulation: [1, 12 D], of the step, or [B, 12 D]; text_tokens: how many rows of x are text.
  [[nodiscard]] Residual operator()(Residual residual, const at::Tensor& modulation, std::int64_t text_tokens,
                                    const Rotary& rotary, const Attends& attends) const;
  void list_tensors(TensorList& list);

 private:
  // CogVideoXLayerNormZero: one affine norm for both streams, a modulation for each.
  struct NormZero {
    NormZero() = default;
    NormZero(const Scope& scope, const TransformerConfig& config);
    Linear linear;
    LayerNorm norm;
  };

  [[nodiscard]] Normed norm_for(const Linear& reader, const NormZero& zero, Residual residual,
                                const Modulations& m) const;
  [[nodiscard]] at::Tensor attend_jointly(const Normed& normed, std::int64_t text_tokens, const Rotary& rotary,
                                          const Attends& attends) const;
  [[nodiscard]] at::Tensor feed_forward(const Normed& normed) const;

  std::int64_t heads_, head_dim_;
  Elementwise elementwise_;
  NormZero norm1_, norm2_;
  Linear to_qkv_;  // to_q, to_k and to_v stacked: one product instead of three
  LayerNorm norm_q_, norm_k_;
  Linear to_out_;
  Linear ff_in_, ff_out_;
};

}  // namespace bitreel
