// text_decoder/config.json of a UniDiffuser checkpoint: GPT-2 with a prefix, with the peer's class defaults.
//
//   const CaptionConfig config = read_caption_config(checkpoint.config("text_decoder"));
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "pipelines/layers/activation.h"

namespace bitreel {

struct CaptionConfig {
  std::int64_t prefix_length = 77;
  std::int64_t prefix_inner_dim = 768;            // CLIP's width
  std::optional<std::int64_t> prefix_hidden_dim;  // the U-ViT's text width, where narrower than CLIP's
  std::int64_t vocab_size = 50257;
  std::int64_t n_positions = 1024;
  std::int64_t n_embd = 768;
  std::int64_t n_layer = 12;
  std::int64_t n_head = 12;
  std::int64_t n_inner = 3072;
  Activation activation = Activation::gelu_tanh;
  double layer_norm_epsilon = 1e-5;
  bool scale_attn_weights = true;
  bool scale_attn_by_inverse_layer_idx = false;

  // Width of the latents that become text.
  [[nodiscard]] std::int64_t text_dim() const { return prefix_hidden_dim.value_or(prefix_inner_dim); }
};

CaptionConfig read_caption_config(const nlohmann::json& config);

}  // namespace bitreel
