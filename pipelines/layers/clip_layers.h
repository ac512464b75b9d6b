// The pre-norm transformer that CLIP's text and image encoders share.
//
//   const ClipLayers layers(scope / "encoder", config, {});   // takes encoder.layers.0.self_attn.q_proj.weight ...
//   at::Tensor states = layers(x, {.causality = Causality::bottom_right});   // [B, N, D] -> [B, N, D]
//
// Source: Radford et al., arXiv 2103.00020; transformers modeling_clip.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "pipelines/layers/activation.h"
#include "pipelines/layers/modules.h"

namespace bitreel {

// Defaults that the text and image encoders share in transformers; sizes are of the image encoder.
struct ClipLayersConfig {
  std::int64_t hidden_size = 768;
  std::int64_t intermediate_size = 3072;
  std::int64_t num_hidden_layers = 12;
  std::int64_t num_attention_heads = 12;
  Activation hidden_act = Activation::quick_gelu;
  double layer_norm_eps = 1e-5;
};

// The keys of `fields`, where absent those of `defaults`. Error unless heads divide the width.
ClipLayersConfig read_clip_layers_config(const JsonFields& fields, const ClipLayersConfig& defaults,
                                         const std::string& file);

struct ClipLayersRun {
  Causality causality = Causality::none;
  // Called after every layer; for tests.
  std::function<void(std::int64_t layer, const at::Tensor& states)> on_layer = {};
};

class ClipLayers {
 public:
  ClipLayers() = default;
  ClipLayers(const Scope& encoder, const ClipLayersConfig& config, std::string attention_backend);
  at::Tensor operator()(const at::Tensor& x, const ClipLayersRun& run) const;

 private:
  struct Layer {
    Layer(const Scope& scope, const ClipLayersConfig& config);
    LayerNorm layer_norm1, layer_norm2;
    Linear q_proj, k_proj, v_proj, out_proj;
    Linear fc1, fc2;
  };

  [[nodiscard]] at::Tensor attend_layer(const Layer& layer, const at::Tensor& x, Causality causality) const;

  ClipLayersConfig config_;
  std::string attention_backend_;
  std::vector<Layer> layers_;
};

}  // namespace bitreel
