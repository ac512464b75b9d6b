#include "pipelines/text/clip_text.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_fields.h"

namespace bitreel {

ClipTextConfig read_clip_text_config(const nlohmann::json& json) {
  const std::string file = "text_encoder/config.json";
  const JsonFields fields(json, file);
  ClipTextConfig config;
  config.layers = read_clip_layers_config(fields, config.layers, file);
  config.vocab_size = fields.integer("vocab_size", config.vocab_size, {2, 1 << 24});
  config.max_position_embeddings =
      fields.integer("max_position_embeddings", config.max_position_embeddings, {2, 65536});
  return config;
}

ClipTextEncoder::ClipTextEncoder(const Weights& weights, const ClipTextConfig& config, LoadOptions options,
                                 std::string attention_backend) {
  Loader loader(weights, options);
  const bool prefixed = weights.has("text_model.embeddings.token_embedding.weight");
  const Scope root = prefixed ? loader.root() / "text_model" : loader.root();
  const Scope embeddings = root / "embeddings";
  const std::int64_t width = config.layers.hidden_size;
  token_embedding_ = (embeddings / "token_embedding").tensor("weight", {config.vocab_size, width});
  position_embedding_ = (embeddings / "position_embedding").tensor("weight", {config.max_position_embeddings, width});
  loader.ignore(prefixed ? "text_model.embeddings.position_ids" : "embeddings.position_ids");  // 0, 1, 2, ...
  layers_ = ClipLayers(root / "encoder", config.layers, std::move(attention_backend));
  final_norm_ = LayerNorm(root / "final_layer_norm", width, config.layers.layer_norm_eps);
  loader.finish();
}

at::Tensor ClipTextEncoder::operator()(const at::Tensor& ids) const {
  if (ids.size(1) > position_embedding_.size(0)) {
    throw Error(fmt::format("CLIP's text encoder got {} tokens, expected at most {}", ids.size(1),
                            position_embedding_.size(0)));
  }
  const at::Tensor x = at::embedding(token_embedding_, ids) + position_embedding_.narrow(0, 0, ids.size(1));
  return final_norm_(layers_(x, {.causality = Causality::bottom_right}));
}

}  // namespace bitreel
