// The 2D autoencoder of latent diffusion: pictures to latents and back.
//
//   const AutoencoderKl vae(checkpoint.weights("vae"), config, {.dtype = at::kBFloat16}, AutoencoderParts::both);
//   const at::Tensor moments = vae.encode(pixels, {});        // [B, 3, h f, w f], -1..1 -> [B, 2 C, h, w]:
//   const at::Tensor latents = sampled(moments, generator);   // means and log variances -> [B, C, h, w]
//   const at::Tensor back = vae.decode(latents, {});          // what the denoiser made is divided by scaling_factor
//
// Tiles of the saved size, overlapping by a quarter and blended, are the peer's: other numbers, less memory.
// Sources: Rombach et al., arXiv 2112.10752; diffusers autoencoder_kl.py.
// Errors: those of the loader; UsageError for pixels that are no multiple of the factor and for sizes that don't tile.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "pipelines/checkpoint/loader.h"

namespace bitreel {

// Defaults are the peer's class defaults.
struct AutoencoderKlConfig {
  std::vector<std::int64_t> block_out_channels = {64};
  std::int64_t layers_per_block = 1;
  std::int64_t latent_channels = 4;
  std::int64_t norm_num_groups = 32;
  std::int64_t sample_size = 32;  // pixels; a tile's side
  double scaling_factor = 0.18215;
  bool use_quant_conv = true;
  bool use_post_quant_conv = true;
  bool mid_block_add_attention = true;

  // Pixels per latent along one side.
  [[nodiscard]] std::int64_t factor() const { return std::int64_t{1} << (block_out_channels.size() - 1); }
};

// config: vae/config.json.
AutoencoderKlConfig read_autoencoder_kl_config(const nlohmann::json& config);

enum class AutoencoderParts { decoder, encoder, both };

struct AutoencoderRun {
  bool tiling = false;   // where the picture is larger than a tile
  bool slicing = false;  // one picture of a batch at a time
};

class ImageEncoder;
class ImageDecoder;

class AutoencoderKl {
 public:
  // Loads the parts that are asked for; the tensors of the others only have to be there.
  AutoencoderKl(const Weights& weights, const AutoencoderKlConfig& config, LoadOptions options, AutoencoderParts parts,
                const std::string& attention_backend = {});
  ~AutoencoderKl();
  AutoencoderKl(AutoencoderKl&&) noexcept;
  AutoencoderKl& operator=(AutoencoderKl&&) noexcept;

  [[nodiscard]] at::Tensor encode(const at::Tensor& pixels, const AutoencoderRun& run) const;
  [[nodiscard]] at::Tensor decode(const at::Tensor& latents, const AutoencoderRun& run) const;

 private:
  AutoencoderKlConfig config_;
  std::unique_ptr<ImageEncoder> encoder_;
  std::unique_ptr<ImageDecoder> decoder_;
};

// Draws from the posterior that the moments describe, on the generator's device in their dtype.
at::Tensor sampled(const at::Tensor& moments, const at::Generator& generator);

}  // namespace bitreel
