// CLIP's text encoder: token ids to one vector per token, the last hidden states after the final norm.
//
//   const ClipTextEncoder encoder(checkpoint.weights("text_encoder"), config, {.dtype = at::kBFloat16});
//   at::Tensor states = encoder(ids);       // [B, 77] int64 -> [B, 77, hidden_size]
//
// Causal, so padding after the end token changes nothing before it, and no mask. Weights may carry the prefix
// "text_model." (transformers 4) or not (transformers 5).
// Source: Radford et al., arXiv 2103.00020; transformers modeling_clip.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "pipelines/layers/clip_layers.h"

namespace bitreel {

// Defaults are transformers' CLIPTextConfig.
struct ClipTextConfig {
  ClipLayersConfig layers = {
      .hidden_size = 512, .intermediate_size = 2048, .num_hidden_layers = 12, .num_attention_heads = 8};
  std::int64_t vocab_size = 49408;
  std::int64_t max_position_embeddings = 77;
};

// config: text_encoder/config.json. Error when a key is out of range.
ClipTextConfig read_clip_text_config(const nlohmann::json& config);

class ClipTextEncoder {
 public:
  ClipTextEncoder(const Weights& weights, const ClipTextConfig& config, LoadOptions options,
                  std::string attention_backend = {});
  at::Tensor operator()(const at::Tensor& ids) const;

 private:
  at::Tensor token_embedding_;     // [vocab, D]
  at::Tensor position_embedding_;  // [positions, D]
  ClipLayers layers_;
  LayerNorm final_norm_;
};

}  // namespace bitreel
