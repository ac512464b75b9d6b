#include "pipelines/unidiffuser/config.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json_file.h"

namespace bitreel {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 9> components = {{
    {"clip_tokenizer", "CLIPTokenizer"},
    {"text_encoder", "CLIPTextModel"},
    {"clip_image_processor", "CLIPImageProcessor"},
    {"image_encoder", "CLIPVisionModelWithProjection"},
    {"vae", "AutoencoderKL"},
    {"unet", "UniDiffuserModel"},
    {"text_decoder", "UniDiffuserTextDecoder"},
    {"text_tokenizer", "GPT2Tokenizer"},
    {"scheduler", "DPMSolverMultistepScheduler"},
}};

// transformers 4 called processors and tokenizers otherwise, or had two of each.
bool is_other_name(const std::string& found, const std::string& expected) {
  return found == expected + "Fast" || (expected == "CLIPImageProcessor" && found == "CLIPFeatureExtractor");
}

[[noreturn]] void fail(const std::string& message) {
  throw Error(message, "the folder is not a UniDiffuser checkpoint that this version runs");
}

void require_equal(std::int64_t found, std::int64_t expected, const std::string& what, const std::string& whose) {
  if (found != expected) fail(fmt::format("{} is {}, expected {}, {}", what, found, expected, whose));
}

}  // namespace

UniDiffuserConfig read_unidiffuser_config(const Checkpoint& checkpoint) {
  const std::string folder = checkpoint.folder().string();
  if (checkpoint.pipeline_class() != "UniDiffuserPipeline") {
    fail(
        fmt::format("{}: model_index.json says {}, expected UniDiffuserPipeline", folder, checkpoint.pipeline_class()));
  }
  for (const auto& [component, expected] : components) {
    const std::string found = checkpoint.component_class(component);
    if (found != expected && !is_other_name(found, expected)) {
      fail(fmt::format("{}: {} is a {}, expected {}", folder, component, found, expected));
    }
  }
  UniDiffuserConfig config;
  config.uvit = read_uvit_config(checkpoint.config("unet"));
  config.vae = read_autoencoder_kl_config(checkpoint.config("vae"));
  config.text_encoder = read_clip_text_config(checkpoint.config("text_encoder"));
  config.image_encoder = read_clip_vision_config(checkpoint.config("image_encoder"));
  config.image_processor =
      read_clip_image_processor(read_json(checkpoint.folder() / "clip_image_processor" / "preprocessor_config.json"));
  config.text_decoder = read_caption_config(checkpoint.config("text_decoder"));
  config.scheduler = read_multistep_dpm_config(checkpoint.config("scheduler"));

  require_equal(config.uvit.in_channels, config.vae.latent_channels, "unet/config.json: in_channels",
                "the VAE's latent_channels");
  require_equal(config.uvit.clip_img_dim, config.image_encoder.projection_dim, "unet/config.json: clip_img_dim",
                "the image encoder's projection_dim");
  require_equal(config.uvit.num_text_tokens, config.text_encoder.max_position_embeddings,
                "unet/config.json: num_text_tokens", "the text encoder's max_position_embeddings");
  require_equal(config.text_decoder.prefix_inner_dim, config.text_encoder.layers.hidden_size,
                "text_decoder/config.json: prefix_inner_dim", "the text encoder's hidden_size");
  require_equal(config.uvit.text_dim, config.text_decoder.text_dim(), "unet/config.json: text_dim",
                "the text decoder's prefix width");
  require_equal(config.text_decoder.prefix_length, config.uvit.num_text_tokens,
                "text_decoder/config.json: prefix_length", "the U-ViT's num_text_tokens");
  return config;
}

}  // namespace bitreel
