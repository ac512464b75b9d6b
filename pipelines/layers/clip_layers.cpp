#include "pipelines/layers/clip_layers.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "base/error.h"

namespace bitreel {

ClipLayersConfig read_clip_layers_config(const JsonFields& fields, const ClipLayersConfig& defaults,
                                         const std::string& file) {
  ClipLayersConfig config = defaults;
  config.hidden_size = fields.integer("hidden_size", config.hidden_size, {1, 65536});
  config.intermediate_size = fields.integer("intermediate_size", config.intermediate_size, {1, 1 << 18});
  config.num_hidden_layers = fields.integer("num_hidden_layers", config.num_hidden_layers, {1, 512});
  config.num_attention_heads = fields.integer("num_attention_heads", config.num_attention_heads, {1, 1024});
  config.hidden_act = read_activation(fields, "hidden_act", "quick_gelu");
  config.layer_norm_eps = fields.real("layer_norm_eps", config.layer_norm_eps, {0, 1});
  if (config.hidden_size % config.num_attention_heads != 0) {
    throw Error(fmt::format("{}: hidden_size is {}, expected a multiple of num_attention_heads {}", file,
                            config.hidden_size, config.num_attention_heads));
  }
  return config;
}

ClipLayers::Layer::Layer(const Scope& scope, const ClipLayersConfig& config) {
  const std::int64_t width = config.hidden_size;
  const Scope attention = scope / "self_attn";
  layer_norm1 = LayerNorm(scope / "layer_norm1", width, config.layer_norm_eps);
  q_proj = Linear(attention / "q_proj", width, width);
  k_proj = Linear(attention / "k_proj", width, width);
  v_proj = Linear(attention / "v_proj", width, width);
  out_proj = Linear(attention / "out_proj", width, width);
  layer_norm2 = LayerNorm(scope / "layer_norm2", width, config.layer_norm_eps);
  fc1 = Linear(scope / "mlp" / "fc1", width, config.intermediate_size);
  fc2 = Linear(scope / "mlp" / "fc2", config.intermediate_size, width);
}

ClipLayers::ClipLayers(const Scope& encoder, const ClipLayersConfig& config, std::string attention_backend)
    : config_(config), attention_backend_(std::move(attention_backend)) {
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) layers_.emplace_back(encoder / "layers" / i, config);
}

at::Tensor ClipLayers::attend_layer(const Layer& layer, const at::Tensor& x, Causality causality) const {
  const std::int64_t heads = config_.num_attention_heads;
  const auto split = [&](const at::Tensor& projected) {
    return projected.view({x.size(0), x.size(1), heads, config_.hidden_size / heads}).transpose(1, 2);
  };
  const at::Tensor attended = attend(split(layer.q_proj(x)), split(layer.k_proj(x)), split(layer.v_proj(x)),
                                     {.backend = attention_backend_, .causality = causality});
  return layer.out_proj(attended.transpose(1, 2).reshape(x.sizes()));
}

at::Tensor ClipLayers::operator()(const at::Tensor& input, const ClipLayersRun& run) const {
  at::Tensor x = input;
  std::int64_t index = 0;
  for (const Layer& layer : layers_) {
    x = x + attend_layer(layer, layer.layer_norm1(x), run.causality);
    x = x + layer.fc2(activate(layer.fc1(layer.layer_norm2(x)), config_.hidden_act));
    if (run.on_layer) run.on_layer(index, x);
    ++index;
  }
  return x;
}

}  // namespace bitreel
