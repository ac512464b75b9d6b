// CLIP's image encoder with its projection: a picture to one vector, not normalised.
//
//   const ClipVisionEncoder encoder(checkpoint.weights("image_encoder"), config, {.dtype = at::kBFloat16});
//   at::Tensor embeds = encoder(pixels);       // [B, 3, image_size, image_size] -> [B, projection_dim]
//
// Source: Radford et al., arXiv 2103.00020; transformers modeling_clip.py, CLIPVisionModelWithProjection.
// Errors: UsageError for pixels of another size than the model's.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "pipelines/layers/clip_layers.h"

namespace bitreel {

// Defaults are transformers' CLIPVisionConfig.
struct ClipVisionConfig {
  ClipLayersConfig layers = {};
  std::int64_t image_size = 224;
  std::int64_t patch_size = 32;
  std::int64_t projection_dim = 512;

  [[nodiscard]] std::int64_t tokens() const { return (image_size / patch_size) * (image_size / patch_size) + 1; }
};

// config: image_encoder/config.json.
ClipVisionConfig read_clip_vision_config(const nlohmann::json& config);

class ClipVisionEncoder {
 public:
  ClipVisionEncoder(const Weights& weights, const ClipVisionConfig& config, LoadOptions options,
                    std::string attention_backend = {});
  // on_layer: for tests.
  at::Tensor operator()(const at::Tensor& pixels,
                        const std::function<void(std::int64_t layer, const at::Tensor& states)>& on_layer = {}) const;

 private:
  ClipVisionConfig config_;
  at::Tensor class_embedding_;     // [D]
  at::Tensor patch_weight_;        // [D, 3, p, p]
  at::Tensor position_embedding_;  // [tokens, D]
  LayerNorm pre_norm_, post_norm_;
  ClipLayers layers_;
  Linear projection_;
};

}  // namespace bitreel
