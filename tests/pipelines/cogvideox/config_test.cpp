// Checkpoint configurations: what published ones say, and what is said of absurd ones.
#include "pipelines/cogvideox/config.h"

#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using nlohmann::json;
using test::TemporaryFolder;
using testing::HasSubstr;

// The configuration files of the small 2b model, one value of one of them changed.
class Configs {
 public:
  Configs() {
    for (const char* file : {"model_index.json", "transformer/config.json", "vae/config.json",
                             "text_encoder/config.json", "scheduler/scheduler_config.json"}) {
      set(file, read_json(std::filesystem::path("tests/golden/cog2b/model") / file));
    }
  }
  void change(const std::string& file, const std::string& key, const json& value) const {
    json config = read_json(folder_ / file);
    config[key] = value;
    set(file, config);
  }
  void set(const std::string& file, const json& config) const { test::write_text(folder_ / file, config.dump()); }
  [[nodiscard]] CogVideoXConfig read() const { return read_config(Checkpoint::open(folder_.path())); }

 private:
  TemporaryFolder folder_;
};

struct BadValue {
  const char* file;
  const char* key;
  json value;
  const char* expectation;
};

const char* const transformer = "transformer/config.json";
const char* const vae = "vae/config.json";
const char* const text_encoder = "text_encoder/config.json";
const char* const scheduler = "scheduler/scheduler_config.json";

TEST(ConfigFiles, WithAbsurdValuesAreErrorsThatSayFileKeyValueAndExpectation) {
  const BadValue cases[] = {
      {transformer, "num_layers", "thirty", "a whole number from 1 to 512"},
      {transformer, "num_layers", 1'000'000'000, "a whole number from 1 to 512"},
      {transformer, "num_attention_heads", 0, "a whole number from 1 to 512"},
      {transformer, "attention_head_dim", -64, "a whole number from 1 to 512"},
      {transformer, "attention_head_dim", 1e18, "a whole number from 1 to 512"},
      {transformer, "in_channels", 16.5, "a whole number from 1 to"},
      {transformer, "out_channels", json::array({16}), "a whole number from 1 to"},
      {transformer, "patch_size", 0, "a whole number from 1 to 64"},
      {transformer, "patch_size_t", 0, "a whole number from 1 to 64"},
      {transformer, "patch_size_t", "2", "a whole number from 1 to 64"},
      {transformer, "time_embed_dim", true, "a whole number from 1 to"},
      {transformer, "ofs_embed_dim", -1, "a whole number from 1 to"},
      {transformer, "text_embed_dim", json::object(), "a whole number from 1 to"},
      {transformer, "max_text_seq_length", 1, "a whole number from 2 to 4096"},
      {transformer, "sample_width", 0, "a whole number from 1 to 8192"},
      {transformer, "sample_height", 1'000'000, "a whole number from 1 to 8192"},
      {transformer, "sample_frames", -49, "a whole number from 1 to 8192"},
      {transformer, "temporal_compression_ratio", 0, "a whole number from 1 to 64"},
      {transformer, "spatial_interpolation_scale", 0, "a number from"},
      {transformer, "temporal_interpolation_scale", "1", "a number from"},
      {transformer, "norm_eps", -1e-5, "a number from 0 to 1"},
      {transformer, "flip_sin_to_cos", 1, "true or false"},
      {transformer, "use_rotary_positional_embeddings", "yes", "true or false"},
      {transformer, "activation_fn", "gelu", "one of gelu-approximate"},
      {transformer, "timestep_activation_fn", "tanh", "one of silu, gelu"},
      {vae, "in_channels", 4, "a whole number from 3 to 3"},
      {vae, "out_channels", 1, "a whole number from 3 to 3"},
      {vae, "block_out_channels", json::array(), "a list of 1 to 64 whole numbers"},
      {vae, "block_out_channels", 128, "a list of 1 to 64 whole numbers"},
      {vae, "layers_per_block", 0, "a whole number from 1 to 64"},
      {vae, "latent_channels", 1e9, "a whole number from 1 to"},
      {vae, "norm_num_groups", 0, "a whole number from 1 to"},
      {vae, "temporal_compression_ratio", 1000, "a whole number from 1 to 64"},
      {vae, "scaling_factor", 0, "a number from"},
      {vae, "scaling_factor", "0.7", "a number from"},
      {vae, "act_fn", "relu", "one of silu, swish"},
      {text_encoder, "num_layers", 0, "a whole number from 1 to 512"},
      {text_encoder, "d_model", 1e7, "a whole number from 1 to 65536"},
      {scheduler, "num_train_timesteps", 0, "a whole number from 1"},
      {scheduler, "beta_start", 1.5, "a number from 0 to 1"},
      {scheduler, "beta_end", -1, "a number from 0 to 1"},
      {scheduler, "beta_schedule", "cosine", "one of linear, scaled_linear, squaredcos_cap_v2"},
      {scheduler, "prediction_type", "v", "one of v_prediction, epsilon, sample"},
      {scheduler, "timestep_spacing", "Trailing", "one of trailing, linspace, leading"},
      {scheduler, "snr_shift_scale", 0, "a number from"},
      {scheduler, "steps_offset", -1, "a whole number from 0 to 1000"},
      {scheduler, "rescale_betas_zero_snr", "true", "true or false"},
      {scheduler, "set_alpha_to_one", 1, "true or false"},
  };
  for (const BadValue& bad : cases) {
    const Configs configs;
    configs.change(bad.file, bad.key, bad.value);
    EXPECT_THAT(error_text([&] { (void)configs.read(); }),
                HasSubstr(std::string(bad.file) + ": " + bad.key + " is " + bad.value.dump() + ", expected " +
                          bad.expectation));
  }
}

TEST(ConfigFiles, ThatDontFitTogetherAreErrors) {
  const std::tuple<const char*, const char*, json, const char*> cases[] = {
      {transformer, "in_channels", 16,
       "transformer/config.json: in_channels is 16, expected 8, the VAE's latent_channels"},
      {vae, "latent_channels", 4, "transformer/config.json: in_channels is 8, expected 4, the VAE's latent_channels"},
      {text_encoder, "d_model", 64,
       "transformer/config.json: text_embed_dim is 32, expected 64, the text encoder's d_model"},
      {vae, "norm_num_groups", 3, "block_out_channels holds 4, expected multiples of norm_num_groups 3"},
      {vae, "block_out_channels", json(std::vector<int>(9, 4)), "block_out_channels has more than 8 levels"},
      {vae, "use_quant_conv", true, "use_quant_conv is true, expected false"},
      {vae, "use_post_quant_conv", true, "use_post_quant_conv is true, expected false"},
      {transformer, "norm_elementwise_affine", false, "norm_elementwise_affine is false, expected true"},
      {transformer, "use_learned_positional_embeddings", true, "learned positions without rotary embeddings"},
      {transformer, "attention_head_dim", 3,
       "num_attention_heads x attention_head_dim is 12, expected a multiple of 16"},
      {scheduler, "trained_betas", json::array({0.1}), "trained_betas is set, expected null"},
  };
  for (const auto& [file, key, value, complaint] : cases) {
    const Configs configs;
    configs.change(file, key, value);
    EXPECT_THAT(error_text([&] { (void)configs.read(); }), HasSubstr(complaint));
  }
  const Configs rotary;
  rotary.change(transformer, "attention_head_dim", 24);
  rotary.change(transformer, "use_rotary_positional_embeddings", true);
  EXPECT_THAT(error_text([&] { (void)rotary.read(); }),
              HasSubstr("attention_head_dim is 24, expected a multiple of 16 with rotary embeddings"));
}

TEST(ConfigFiles, OfOtherModelsAreErrors) {
  const std::tuple<const char*, json, const char*> cases[] = {
      {"_class_name", "StableDiffusionPipeline",
       "model_index.json says StableDiffusionPipeline, expected CogVideoXPipeline"},
      {"_class_name", "CogVideoXImageToVideoPipeline", "expected CogVideoXPipeline"},
      {"transformer",
       {"diffusers", "SD3Transformer2DModel"},
       "transformer is a SD3Transformer2DModel, expected CogVideoXTransformer3DModel"},
      {"vae", {"diffusers", "AutoencoderKL"}, "vae is a AutoencoderKL, expected AutoencoderKLCogVideoX"},
      {"text_encoder", {"transformers", "CLIPTextModel"}, "text_encoder is a CLIPTextModel, expected T5EncoderModel"},
      {"scheduler",
       {"diffusers", "DDIMScheduler"},
       "scheduler is a DDIMScheduler, expected CogVideoXDDIMScheduler or CogVideoXDPMScheduler"},
      {"scheduler", nullptr, "model_index.json names no scheduler"},
  };
  for (const auto& [key, value, complaint] : cases) {
    const Configs configs;
    configs.change("model_index.json", key, value);
    EXPECT_THAT(error_text([&] { (void)configs.read(); }), HasSubstr(complaint));
  }
}

TEST(ConfigFiles, ThatAreNoObjectsAreErrors) {
  for (const char* file : {transformer, vae, text_encoder, scheduler}) {
    const Configs configs;
    configs.set(file, json::array());
    EXPECT_THAT(error_text([&] { (void)configs.read(); }),
                HasSubstr(std::string(file) + ": holds a JSON array, expected an object"));
  }
}

TEST(ConfigFiles, WithoutKeysHoldThePeersClassDefaults) {
  const TransformerConfig config = read_transformer_config(json::object());
  EXPECT_EQ(config.inner_dim(), 1920);
  EXPECT_EQ(config.patch_size_t, std::nullopt);
  EXPECT_EQ(config.ofs_embed_dim, std::nullopt);
  EXPECT_TRUE(config.patch_bias);
  EXPECT_FALSE(config.use_rotary_positional_embeddings);
  EXPECT_FALSE(config.use_learned_positional_embeddings);
  EXPECT_EQ(config.sample_frames, 49);
  const VaeConfig autoencoder = read_vae_config(json::object());
  EXPECT_EQ(autoencoder.spatial_factor(), 8);
  EXPECT_EQ(autoencoder.scaling_factor, 1.15258426);
}

TEST(ConfigFiles, SayWhatTheGoldenModelsAre) {
  const CogVideoXConfig small_2b = read_config(Checkpoint::open("tests/golden/cog2b/model"));
  EXPECT_EQ(small_2b.scheduler, SchedulerKind::ddim);
  EXPECT_EQ(small_2b.schedule.snr_shift_scale, 3.0);
  EXPECT_EQ(small_2b.schedule.timestep_spacing, TimestepSpacing::trailing);
  EXPECT_EQ(small_2b.schedule.prediction_type, PredictionType::v_prediction);
  EXPECT_EQ(small_2b.vae.block_out_channels, (std::vector<std::int64_t>{4, 8, 8, 8}));
  const CogVideoXConfig small_5b = read_config(Checkpoint::open("tests/golden/cog5b/model"));
  EXPECT_EQ(small_5b.scheduler, SchedulerKind::dpm);
  EXPECT_TRUE(small_5b.transformer.use_rotary_positional_embeddings);
  EXPECT_EQ(small_5b.vae.spatial_factor(), 4);
  const CogVideoXConfig small_15 = read_config(Checkpoint::open("tests/golden/cog15/model"));
  EXPECT_EQ(small_15.transformer.patch_size_t, 2);
}

}  // namespace
}  // namespace bitreel
