#include "pipelines/cogvideox/config.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/json_fields.h"

namespace bitreel {
namespace {

constexpr IntegerRange dimension{1, 1 << 16};
constexpr IntegerRange channels{1, 1 << 13};

NoiseScheduleConfig read_schedule_config(const nlohmann::json& json) {
  const JsonFields fields(json, "scheduler/scheduler_config.json");
  NoiseScheduleConfig config;
  config.num_train_timesteps = fields.integer("num_train_timesteps", config.num_train_timesteps, {1, 1 << 20});
  config.beta_start = fields.real("beta_start", config.beta_start, {0, 1});
  config.beta_end = fields.real("beta_end", config.beta_end, {0, 1});
  config.beta_schedule = static_cast<BetaSchedule>(
      fields.choice("beta_schedule", "scaled_linear", {"linear", "scaled_linear", "squaredcos_cap_v2"}));
  if (const auto betas = json.find("trained_betas"); betas != json.end() && !betas->is_null()) {
    throw Error("scheduler/scheduler_config.json: trained_betas is set, expected null",
                "CogVideoX checkpoints describe their schedule by beta_start and beta_end");
  }
  config.set_alpha_to_one = fields.boolean("set_alpha_to_one", config.set_alpha_to_one);
  config.steps_offset = fields.integer("steps_offset", config.steps_offset, {0, 1000});
  config.prediction_type =
      static_cast<PredictionType>(fields.choice("prediction_type", "epsilon", {"v_prediction", "epsilon", "sample"}));
  config.timestep_spacing =
      static_cast<TimestepSpacing>(fields.choice("timestep_spacing", "leading", {"trailing", "linspace", "leading"}));
  config.rescale_betas_zero_snr = fields.boolean("rescale_betas_zero_snr", config.rescale_betas_zero_snr);
  config.snr_shift_scale = fields.real("snr_shift_scale", config.snr_shift_scale, {1e-6, 1e6});
  return config;
}

void require(bool holds, const std::string& message) {
  if (!holds) throw Error(message, "the folder is not a CogVideoX text-to-video checkpoint that this version runs");
}

}  // namespace

TransformerConfig read_transformer_config(const nlohmann::json& json) {
  const std::string file = "transformer/config.json";
  const JsonFields fields(json, file);
  TransformerConfig config;
  config.num_attention_heads = fields.integer("num_attention_heads", config.num_attention_heads, {1, 512});
  config.attention_head_dim = fields.integer("attention_head_dim", config.attention_head_dim, {1, 512});
  config.in_channels = fields.integer("in_channels", config.in_channels, channels);
  config.out_channels = fields.integer("out_channels", config.out_channels, channels);
  config.num_layers = fields.integer("num_layers", config.num_layers, {1, 512});
  config.patch_size = fields.integer("patch_size", config.patch_size, {1, 64});
  config.patch_size_t = fields.optional_integer("patch_size_t", {1, 64});
  config.time_embed_dim = fields.integer("time_embed_dim", config.time_embed_dim, dimension);
  config.timestep_activation =
      static_cast<TimestepActivation>(fields.choice("timestep_activation_fn", "silu", {"silu", "gelu"}));
  config.ofs_embed_dim = fields.optional_integer("ofs_embed_dim", dimension);
  config.text_embed_dim = fields.integer("text_embed_dim", config.text_embed_dim, dimension);
  config.max_text_seq_length = fields.integer("max_text_seq_length", config.max_text_seq_length, {2, 4096});
  config.sample_width = fields.integer("sample_width", config.sample_width, {1, 8192});
  config.sample_height = fields.integer("sample_height", config.sample_height, {1, 8192});
  config.sample_frames = fields.integer("sample_frames", config.sample_frames, {1, 8192});
  config.temporal_compression_ratio =
      fields.integer("temporal_compression_ratio", config.temporal_compression_ratio, {1, 64});
  config.spatial_interpolation_scale =
      fields.real("spatial_interpolation_scale", config.spatial_interpolation_scale, {1e-6, 1e6});
  config.temporal_interpolation_scale =
      fields.real("temporal_interpolation_scale", config.temporal_interpolation_scale, {1e-6, 1e6});
  config.norm_eps = fields.real("norm_eps", config.norm_eps, {0, 1});
  config.freq_shift = fields.real("freq_shift", config.freq_shift, {0, 1});
  config.flip_sin_to_cos = fields.boolean("flip_sin_to_cos", config.flip_sin_to_cos);
  config.attention_bias = fields.boolean("attention_bias", config.attention_bias);
  config.patch_bias = fields.boolean("patch_bias", config.patch_bias);
  config.use_rotary_positional_embeddings =
      fields.boolean("use_rotary_positional_embeddings", config.use_rotary_positional_embeddings);
  config.use_learned_positional_embeddings =
      fields.boolean("use_learned_positional_embeddings", config.use_learned_positional_embeddings);
  // Fields with one value in every published checkpoint: another one would change the result, so it is refused.
  (void)fields.choice("activation_fn", "gelu-approximate", {"gelu-approximate"});
  require(fields.boolean("norm_elementwise_affine", true), file + ": norm_elementwise_affine is false, expected true");
  require(!config.use_rotary_positional_embeddings || config.attention_head_dim % 16 == 0,
          fmt::format("{}: attention_head_dim is {}, expected a multiple of 16 with rotary embeddings", file,
                      config.attention_head_dim));
  // The computed table gives time, width and height an even share each.
  const bool computed_table = !config.use_rotary_positional_embeddings || config.use_learned_positional_embeddings;
  require(!computed_table || config.inner_dim() % 16 == 0,
          fmt::format("{}: num_attention_heads x attention_head_dim is {}, expected a multiple of 16", file,
                      config.inner_dim()));
  require(config.use_rotary_positional_embeddings || !config.use_learned_positional_embeddings,
          file + ": learned positions without rotary embeddings");
  return config;
}

VaeConfig read_vae_config(const nlohmann::json& json) {
  const std::string file = "vae/config.json";
  const JsonFields fields(json, file);
  VaeConfig config;
  config.in_channels = fields.integer("in_channels", config.in_channels, {3, 3});
  config.out_channels = fields.integer("out_channels", config.out_channels, {3, 3});
  config.block_out_channels = fields.integers("block_out_channels", config.block_out_channels, channels);
  config.layers_per_block = fields.integer("layers_per_block", config.layers_per_block, {1, 64});
  config.latent_channels = fields.integer("latent_channels", config.latent_channels, channels);
  config.norm_num_groups = fields.integer("norm_num_groups", config.norm_num_groups, channels);
  config.norm_eps = fields.real("norm_eps", config.norm_eps, {0, 1});
  config.temporal_compression_ratio =
      fields.integer("temporal_compression_ratio", config.temporal_compression_ratio, {1, 64});
  config.sample_height = fields.integer("sample_height", config.sample_height, {1, 1 << 16});
  config.sample_width = fields.integer("sample_width", config.sample_width, {1, 1 << 16});
  config.scaling_factor = fields.real("scaling_factor", config.scaling_factor, {1e-6, 1e6});
  for (const char* key : {"use_quant_conv", "use_post_quant_conv"}) {
    require(!fields.boolean(key, false), fmt::format("{}: {} is true, expected false", file, key));
  }
  (void)fields.choice("act_fn", "silu", {"silu", "swish"});
  for (const std::int64_t width : config.block_out_channels) {
    require(width % config.norm_num_groups == 0,
            fmt::format("{}: block_out_channels holds {}, expected multiples of norm_num_groups {}", file, width,
                        config.norm_num_groups));
  }
  require(config.block_out_channels.size() <= 8, file + ": block_out_channels has more than 8 levels");
  return config;
}

CogVideoXConfig read_config(const Checkpoint& checkpoint) {
  const std::string pipeline = checkpoint.pipeline_class();
  require(pipeline == "CogVideoXPipeline", fmt::format("{}: model_index.json says {}, expected CogVideoXPipeline",
                                                       checkpoint.folder().string(), pipeline));
  const auto expect_class = [&](const std::string& component, const std::string& expected) {
    const std::string found = checkpoint.component_class(component);
    require(found == expected,
            fmt::format("{}: {} is a {}, expected {}", checkpoint.folder().string(), component, found, expected));
  };
  expect_class("transformer", "CogVideoXTransformer3DModel");
  expect_class("vae", "AutoencoderKLCogVideoX");
  expect_class("text_encoder", "T5EncoderModel");

  CogVideoXConfig config;
  config.transformer = read_transformer_config(checkpoint.config("transformer"));
  config.vae = read_vae_config(checkpoint.config("vae"));
  config.text_encoder = read_t5_config(checkpoint.config("text_encoder"));
  config.schedule = read_schedule_config(checkpoint.config("scheduler"));
  const std::string scheduler = checkpoint.component_class("scheduler");
  config.scheduler = scheduler == "CogVideoXDPMScheduler" ? SchedulerKind::dpm : SchedulerKind::ddim;
  require(config.scheduler == SchedulerKind::dpm || scheduler == "CogVideoXDDIMScheduler",
          fmt::format("{}: scheduler is a {}, expected CogVideoXDDIMScheduler or CogVideoXDPMScheduler",
                      checkpoint.folder().string(), scheduler));
  require(config.transformer.in_channels == config.vae.latent_channels,
          fmt::format("transformer/config.json: in_channels is {}, expected {}, the VAE's latent_channels",
                      config.transformer.in_channels, config.vae.latent_channels));
  require(config.transformer.text_embed_dim == config.text_encoder.d_model,
          fmt::format("transformer/config.json: text_embed_dim is {}, expected {}, the text encoder's d_model",
                      config.transformer.text_embed_dim, config.text_encoder.d_model));
  return config;
}

}  // namespace bitreel
