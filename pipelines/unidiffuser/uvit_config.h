// unet/config.json of a UniDiffuser checkpoint, checked, with the peer's class defaults for absent keys.
//
//   const UVitConfig config = read_uvit_config(checkpoint.config("unet"));
//
// Errors: Error naming key, value and what is expected; variants of the peer's class that no checkpoint uses are
// refused.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace bitreel {

enum class UVitActivation { gelu, gelu_tanh, geglu };
// Where a block's norms stand: on the sum of branch and input (UniDiffuser), or in the branches.
enum class UVitNorms { on_backbone, in_branches };

struct UVitConfig {
  std::int64_t text_dim = 768;
  std::int64_t clip_img_dim = 512;
  std::int64_t num_text_tokens = 77;
  std::int64_t num_attention_heads = 16;
  std::int64_t attention_head_dim = 88;
  std::int64_t in_channels = 4;
  std::int64_t num_layers = 1;
  std::int64_t sample_size = 64;  // latent units, both sides
  std::int64_t patch_size = 2;
  UVitActivation activation = UVitActivation::geglu;
  UVitNorms norms = UVitNorms::on_backbone;
  bool attention_bias = false;
  bool pre_layer_norm = false;  // norms come before attention and feed-forward, not after
  bool use_timestep_embedding = false;
  bool use_data_type_embedding = false;

  [[nodiscard]] std::int64_t inner_dim() const { return num_attention_heads * attention_head_dim; }
  [[nodiscard]] std::int64_t patches() const { return (sample_size / patch_size) * (sample_size / patch_size); }
  // Blocks on the way in, as many on the way out, and one between.
  [[nodiscard]] std::int64_t depth() const { return num_layers / 2; }
  [[nodiscard]] std::int64_t layers() const { return 2 * depth() + 1; }
  // Tokens without the data type's: both timesteps, text, CLIP's image, patches.
  [[nodiscard]] std::int64_t positions() const { return 2 + num_text_tokens + 1 + patches(); }
  [[nodiscard]] std::int64_t tokens() const { return positions() + (use_data_type_embedding ? 1 : 0); }
};

UVitConfig read_uvit_config(const nlohmann::json& config);

}  // namespace bitreel
