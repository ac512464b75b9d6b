// The CogVideoX diffusion transformer: noisy latents, text and a timestep in; the prediction for every latent out.
//
//   const Transformer transformer(checkpoint.weights("transformer"), config, {.dtype = at::kFloat});
//   const Conditioning conditioning = transformer.condition(text, {.frames = 7, .height = 32, .width = 32});
//   at::Tensor v = transformer(latents, conditioning, {.timestep = 999});
//
// What a timestep says to every block needs no latents, so a clip asks for all of its timesteps' at once:
//
//   const at::Tensor modulations = transformer.modulations({999, 499});
//   v = transformer(latents, conditioning, {.modulation = modulations.narrow(0, 1, 1)});
//
// latents and v: [B, F, C, H, W]; text: [B, 226, text_embed_dim]. All variants of 1.0 and 1.5.
// Text and video are one sequence, text first; they share weights and differ only in their modulation.
// Source: Yang et al., CogVideoX, arXiv 2408.06072; diffusers cogvideox_transformer_3d.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "pipelines/cogvideox/block.h"
#include "pipelines/cogvideox/config.h"
#include "pipelines/cogvideox/positions.h"
#include "pipelines/layers/block_ring.h"
#include "pipelines/layers/modules.h"
#include "pipelines/model/layer_attention.h"

namespace bitreel {

struct LatentGrid {
  std::int64_t frames = 0, height = 0, width = 0;  // latent units
};

// What stays the same over all steps of a clip.
struct Conditioning {
  at::Tensor text;             // [B, text tokens, D], projected, text rows of a learned table added
  at::Tensor video_positions;  // [1, video tokens, D] to add after patching, or undefined
  Rotary rotary;
};

struct StepContext {
  std::int64_t timestep = 0;   // training timestep
  at::Tensor modulation = {};  // in place of the timestep: its row of modulations()
  LayerAttention attention = full_attention();
  std::optional<double> ofs = {};  // the offset that 1.5 image-to-video models are conditioned on
  // Called after every layer with the joint sequence [B, text + video, D]; for tests and calibration.
  std::function<void(std::int64_t layer, const at::Tensor& sequence)> on_layer = {};
};

class Transformer {
 public:
  // options.blocks streamed: its blocks pass over the device, and one thread calls it at a time.
  Transformer(const Weights& weights, const TransformerConfig& config, LoadOptions options,
              Elementwise elementwise = Elementwise::fused, const LinearOptions& linear = {});

  [[nodiscard]] Conditioning condition(const at::Tensor& text, LatentGrid grid) const;
  // [timesteps, (12 layers + 2) D]: shifts, scales and gates of every block, then those of the output. A row depends on
  // how many there are by rounding: runs that have to agree ask for the same timesteps.
  [[nodiscard]] at::Tensor modulations(const std::vector<std::int64_t>& timesteps,
                                       std::optional<double> ofs = std::nullopt) const;
  [[nodiscard]] at::Tensor operator()(const at::Tensor& latents, const Conditioning& conditioning,
                                      const StepContext& context) const;

 private:
  // Two linears with an activation between, on a sinusoid.
  struct TimeEmbedding {
    TimeEmbedding() = default;
    TimeEmbedding(const Scope& scope, std::int64_t in, std::int64_t out, TimestepActivation between);
    at::Tensor operator()(const at::Tensor& x) const;
    Linear linear_1, linear_2;
    TimestepActivation activation = TimestepActivation::silu;
  };

  [[nodiscard]] at::Tensor embed_time(const std::vector<std::int64_t>& timesteps, std::optional<double> ofs) const;
  [[nodiscard]] at::Tensor patchify(const at::Tensor& latents) const;
  [[nodiscard]] at::Tensor unpatchify(const at::Tensor& tokens, const at::Tensor& latents) const;

  TransformerConfig config_;
  LoadOptions options_;
  Linear patch_proj_;  // weight [D, C*p*p] (1.0, a flattened convolution) or [D, C*pt*p*p] (1.5)
  Linear text_proj_;
  at::Tensor learned_positions_;  // [1, text + video, D] in 5b-I2V only
  TimeEmbedding time_embedding_, ofs_embedding_;
  std::vector<TransformerBlock> blocks_;
  std::unique_ptr<BlockRing> ring_;  // of blocks that are streamed
  LayerNorm norm_final_, norm_out_;
  Linear norm_out_linear_, proj_out_;
  Elementwise elementwise_;
};

}  // namespace bitreel
