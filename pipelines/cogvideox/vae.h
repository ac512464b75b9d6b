// The 3D causal VAE: pixels to latents and back, a batch of frames at a time.
//
//   const Vae vae(checkpoint.weights("vae"), config, {.dtype = at::kFloat}, VaeParts::decoder);
//   vae.decode(latents, {}, [&](const at::Tensor& frames) { show(frames); });   // [B, 3, t, H, W], in order of time
//
// latents: [B, C, f, h, w], already divided by the scaling factor; pixels: [B, 3, F, H, W] in [-1, 1]. encode() gives
// moments [B, 2 * latent_channels, f, h, w]: mean, then log variance.
// Frames are batched (2 latent or 8 pixel frames, the remainder in the first batch), convolutions carry a two-frame
// cache from batch to batch, and group norms see one batch and one tile: all three are part of the numbers, exactly as
// in the peer. Source: CogVideoX, arXiv 2408.06072, section 2.1; diffusers autoencoder_kl_cogvideox.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>

#include "pipelines/checkpoint/loader.h"
#include "pipelines/cogvideox/config.h"
#include "pipelines/model/run_options.h"

namespace bitreel {

// Tile sizes in pixels; neighbouring tiles overlap by these shares and are blended linearly.
struct VaeTiling {
  std::int64_t tile_height = 240;
  std::int64_t tile_width = 360;
  double overlap_height = 1.0 / 6.0;
  double overlap_width = 1.0 / 5.0;
};

// The peer's default: tiles of half the sample size.
VaeTiling default_tiling(const VaeConfig& config);

struct VaeRunOptions {
  std::optional<VaeTiling> tiling = {};  // used when the clip is larger than one tile
};

// Latent frames are decoded in pairs, and the odd one joins the first.
inline constexpr std::int64_t most_latent_frames_in_a_batch = 3;

enum class VaeParts { decoder, encoder, both };

class VaeEncoder;
class VaeDecoder;

class Vae {
 public:
  // Loads the parts that are asked for; the tensors of the others only have to be there.
  Vae(const Weights& weights, const VaeConfig& config, LoadOptions options, VaeParts parts,
      Elementwise elementwise = Elementwise::fused);
  ~Vae();
  Vae(Vae&&) noexcept;
  Vae& operator=(Vae&&) noexcept;

  // Throws UsageError for tiles whose overlap is not a whole number of latents: the peer's result has another size
  // then.
  void decode(const at::Tensor& latents, const VaeRunOptions& options,
              const std::function<void(const at::Tensor& frames)>& on_frames) const;
  [[nodiscard]] at::Tensor decode_whole(const at::Tensor& latents, const VaeRunOptions& options) const;
  [[nodiscard]] at::Tensor encode(const at::Tensor& pixels, const VaeRunOptions& options) const;

 private:
  VaeConfig config_;
  std::unique_ptr<VaeEncoder> encoder_;
  std::unique_ptr<VaeDecoder> decoder_;
};

}  // namespace bitreel
