// The two halves of the VAE, each run on one batch of frames of one tile.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "pipelines/cogvideox/config.h"
#include "pipelines/cogvideox/vae_layers.h"

namespace bitreel {

class VaeEncoder {
 public:
  VaeEncoder(const Scope& scope, const VaeConfig& config, Elementwise elementwise);
  // [B, 3, T, H, W] -> [B, 2 * latent_channels, t, h, w]
  [[nodiscard]] at::Tensor operator()(const at::Tensor& pixels, ConvCaches& caches) const;

 private:
  struct Level {
    std::vector<VaeResnet> resnets;
    std::optional<Downsample3d> downsampler;
  };
  CausalConv3d conv_in_;
  std::vector<Level> down_blocks_;
  std::vector<VaeResnet> mid_block_;
  VaeNorm norm_out_;
  CausalConv3d conv_out_;
};

class VaeDecoder {
 public:
  VaeDecoder(const Scope& scope, const VaeConfig& config, Elementwise elementwise);
  // [B, latent_channels, t, h, w] -> [B, 3, T, H, W]
  [[nodiscard]] at::Tensor operator()(const at::Tensor& latent, ConvCaches& caches) const;

 private:
  struct Level {
    std::vector<VaeResnet> resnets;
    std::optional<Upsample3d> upsampler;
  };
  CausalConv3d conv_in_;
  std::vector<VaeResnet> mid_block_;
  std::vector<Level> up_blocks_;
  VaeNorm norm_out_;
  CausalConv3d conv_out_;
};

}  // namespace bitreel
