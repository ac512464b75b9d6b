// The configuration files of a CogVideoX checkpoint, checked, with the peer's class defaults for absent keys.
//
//   const CogVideoXConfig config = read_config(checkpoint);
//
// Keys and defaults: the constructors of diffusers cogvideox_transformer_3d.py, autoencoder_kl_cogvideox.py and
// scheduling_ddim_cogvideox.py, and transformers configuration_t5.py.
// Errors: Error naming file, key, value and what is expected.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/text/t5.h"
#include "schedulers/noise/scheduler.h"

namespace bitreel {

enum class TimestepActivation { silu, gelu };

struct TransformerConfig {
  std::int64_t num_attention_heads = 30;
  std::int64_t attention_head_dim = 64;
  std::int64_t in_channels = 16;
  std::int64_t out_channels = 16;
  std::int64_t num_layers = 30;
  std::int64_t patch_size = 2;
  std::optional<std::int64_t> patch_size_t;  // 1.5: patches span two latent frames
  std::int64_t time_embed_dim = 512;
  TimestepActivation timestep_activation = TimestepActivation::silu;
  std::optional<std::int64_t> ofs_embed_dim;
  std::int64_t text_embed_dim = 4096;
  std::int64_t max_text_seq_length = 226;
  std::int64_t sample_width = 90;   // latent units
  std::int64_t sample_height = 60;  // latent units
  std::int64_t sample_frames = 49;  // pixel frames
  std::int64_t temporal_compression_ratio = 4;
  double spatial_interpolation_scale = 1.875;
  double temporal_interpolation_scale = 1.0;
  double norm_eps = 1e-5;
  double freq_shift = 0;
  bool flip_sin_to_cos = true;
  bool attention_bias = true;
  bool patch_bias = true;
  bool use_rotary_positional_embeddings = false;
  bool use_learned_positional_embeddings = false;

  [[nodiscard]] std::int64_t inner_dim() const { return num_attention_heads * attention_head_dim; }
};

struct VaeConfig {
  std::int64_t in_channels = 3;
  std::int64_t out_channels = 3;
  std::vector<std::int64_t> block_out_channels = {128, 256, 256, 512};
  std::int64_t layers_per_block = 3;
  std::int64_t latent_channels = 16;
  std::int64_t norm_num_groups = 32;
  double norm_eps = 1e-6;
  std::int64_t temporal_compression_ratio = 4;
  std::int64_t sample_height = 480;  // pixels; half of it is the tile size
  std::int64_t sample_width = 720;
  double scaling_factor = 1.15258426;

  // Pixels per latent along one side: 2^(levels - 1).
  [[nodiscard]] std::int64_t spatial_factor() const { return std::int64_t{1} << (block_out_channels.size() - 1); }
};

struct CogVideoXConfig {
  TransformerConfig transformer;
  VaeConfig vae;
  T5Config text_encoder;
  NoiseScheduleConfig schedule;
  SchedulerKind scheduler = SchedulerKind::ddim;  // of the class that scheduler_config.json names
};

CogVideoXConfig read_config(const Checkpoint& checkpoint);
TransformerConfig read_transformer_config(const nlohmann::json& config);
VaeConfig read_vae_config(const nlohmann::json& config);

}  // namespace bitreel
