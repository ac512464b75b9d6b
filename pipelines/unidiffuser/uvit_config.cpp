#include "pipelines/unidiffuser/uvit_config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_fields.h"

namespace bitreel {
namespace {

const std::string file = "unet/config.json";

void require(bool holds, const std::string& message) {
  if (!holds)
    throw Error(fmt::format("{}: {}", file, message),
                "the folder is not a UniDiffuser checkpoint that this version runs");
}

}  // namespace

UVitConfig read_uvit_config(const nlohmann::json& json) {
  const JsonFields fields(json, file);
  UVitConfig config;
  for (const char* key : {"in_channels", "sample_size", "patch_size"}) {
    require(json.contains(key) && !json[key].is_null(), fmt::format("{} is missing", key));
  }
  config.text_dim = fields.integer("text_dim", config.text_dim, {1, 1 << 16});
  config.clip_img_dim = fields.integer("clip_img_dim", config.clip_img_dim, {1, 1 << 16});
  config.num_text_tokens = fields.integer("num_text_tokens", config.num_text_tokens, {2, 65536});
  config.num_attention_heads = fields.integer("num_attention_heads", config.num_attention_heads, {1, 512});
  config.attention_head_dim = fields.integer("attention_head_dim", config.attention_head_dim, {1, 512});
  config.in_channels = fields.integer("in_channels", config.in_channels, {1, 1 << 13});
  const std::int64_t out_channels = fields.integer("out_channels", config.in_channels, {1, 1 << 13});
  require(out_channels == config.in_channels,
          fmt::format("out_channels is {}, expected in_channels {}", out_channels, config.in_channels));
  config.num_layers = fields.integer("num_layers", config.num_layers, {1, 512});
  config.sample_size = fields.integer("sample_size", config.sample_size, {1, 8192});
  config.patch_size = fields.integer("patch_size", config.patch_size, {1, 64});
  require(
      config.sample_size % config.patch_size == 0,
      fmt::format("sample_size is {}, expected a multiple of patch_size {}", config.sample_size, config.patch_size));
  config.activation =
      static_cast<UVitActivation>(fields.choice("activation_fn", "geglu", {"gelu", "gelu-approximate", "geglu"}));
  const nlohmann::json& block = json.value("block_type", nlohmann::json("unidiffuser"));
  config.norms =
      block == "unidiffuser" ? UVitNorms::on_backbone : UVitNorms::in_branches;  // anything else, in the peer too
  config.attention_bias = fields.boolean("attention_bias", config.attention_bias);
  config.pre_layer_norm = fields.boolean("pre_layer_norm", config.pre_layer_norm);
  config.use_timestep_embedding = fields.boolean("use_timestep_embedding", config.use_timestep_embedding);
  config.use_data_type_embedding = fields.boolean("use_data_type_embedding", config.use_data_type_embedding);
  (void)fields.choice("norm_type", "layer_norm", {"layer_norm"});
  require(fields.boolean("norm_elementwise_affine", true), "norm_elementwise_affine is false, expected true");
  for (const char* key : {"use_patch_pos_embed", "only_cross_attention", "upcast_attention"}) {
    require(!fields.boolean(key, false), fmt::format("{} is true, expected false", key));
  }
  for (const char* key : {"cross_attention_dim", "num_vector_embeds", "num_embeds_ada_norm"}) {
    require(!json.contains(key) || json[key].is_null(), fmt::format("{} is set, expected null", key));
  }
  return config;
}

}  // namespace bitreel
