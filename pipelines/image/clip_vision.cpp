#include "pipelines/image/clip_vision.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_fields.h"

namespace bitreel {

ClipVisionConfig read_clip_vision_config(const nlohmann::json& json) {
  const std::string file = "image_encoder/config.json";
  const JsonFields fields(json, file);
  ClipVisionConfig config;
  config.layers = read_clip_layers_config(fields, config.layers, file);
  config.image_size = fields.integer("image_size", config.image_size, {1, 16384});
  config.patch_size = fields.integer("patch_size", config.patch_size, {1, 16384});
  config.projection_dim = fields.integer("projection_dim", config.projection_dim, {1, 65536});
  (void)fields.integer("num_channels", 3, {3, 3});
  if (config.patch_size > config.image_size) {
    throw Error(fmt::format("{}: patch_size is {}, expected at most image_size {}", file, config.patch_size,
                            config.image_size));
  }
  return config;
}

ClipVisionEncoder::ClipVisionEncoder(const Weights& weights, const ClipVisionConfig& config, LoadOptions options,
                                     std::string attention_backend)
    : config_(config) {
  Loader loader(weights, options);
  const Scope root = loader.root() / "vision_model", embeddings = root / "embeddings";
  const std::int64_t width = config.layers.hidden_size, patch = config.patch_size;
  class_embedding_ = embeddings.tensor("class_embedding", {width});
  patch_weight_ = (embeddings / "patch_embedding").tensor("weight", {width, 3, patch, patch});
  position_embedding_ = (embeddings / "position_embedding").tensor("weight", {config.tokens(), width});
  loader.ignore("vision_model.embeddings.position_ids");  // 0, 1, 2, ...
  pre_norm_ = LayerNorm(root / "pre_layrnorm", width, config.layers.layer_norm_eps);
  layers_ = ClipLayers(root / "encoder", config.layers, std::move(attention_backend));
  post_norm_ = LayerNorm(root / "post_layernorm", width, config.layers.layer_norm_eps);
  projection_ = Linear(loader.root() / "visual_projection", width, config.projection_dim, Bias::none);
  loader.finish();
}

at::Tensor ClipVisionEncoder::operator()(const at::Tensor& pixels,
                                         const std::function<void(std::int64_t, const at::Tensor&)>& on_layer) const {
  const std::int64_t size = config_.image_size;
  if (pixels.size(2) != size || pixels.size(3) != size) {
    throw UsageError(fmt::format("CLIP's image encoder got {}x{} pixels, expected {}x{}", pixels.size(3),
                                 pixels.size(2), size, size),
                     "crop_size in preprocessor_config.json and image_size in config.json have to agree");
  }
  const at::Tensor patches =
      at::conv2d(pixels, patch_weight_, {}, /*stride=*/config_.patch_size).flatten(2).transpose(1, 2);
  const at::Tensor first = class_embedding_.expand({pixels.size(0), 1, class_embedding_.size(0)});
  const at::Tensor x = pre_norm_(at::cat({first, patches}, 1) + position_embedding_);
  const at::Tensor states = layers_(x, {.causality = Causality::none, .on_layer = on_layer});
  return projection_(post_norm_(states.select(1, 0)));
}

}  // namespace bitreel
