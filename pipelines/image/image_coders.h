// The two halves of the 2D autoencoder: residual blocks of convolutions, level by level, attention at the coarsest.
//
//   const ImageDecoder decoder(loader.root(), config, {});     // takes decoder.* and post_quant_conv.*
//   at::Tensor pixels = decoder(latents);
//
// Every norm's epsilon is 1e-6, whatever the configuration says. Source: diffusers vae.py and unet_2d_blocks.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "pipelines/image/autoencoder_kl.h"
#include "pipelines/layers/modules.h"

namespace bitreel {

struct Conv2d {
  at::Tensor weight, bias;

  Conv2d() = default;
  // kernel: 1 or 3.
  Conv2d(const Scope& scope, std::int64_t in, std::int64_t out, std::int64_t kernel);
  at::Tensor operator()(const at::Tensor& x) const;  // keeps the size
  at::Tensor halve(const at::Tensor& x) const;       // stride 2, padded below and to the right only
};

struct ImageResnet {
  GroupNorm norm1, norm2;
  Conv2d conv1, conv2;
  std::optional<Conv2d> conv_shortcut;

  ImageResnet(const Scope& scope, std::int64_t in, std::int64_t out, std::int64_t groups);
  at::Tensor operator()(const at::Tensor& x) const;
};

// Every position attends to every other, one head as wide as the channels.
struct ImageAttention {
  GroupNorm group_norm;
  Linear to_q, to_k, to_v, to_out;
  std::string backend;

  // Names of today (to_q) or of 2022 (query).
  ImageAttention(const Scope& scope, const Weights& weights, const std::string& prefix, std::int64_t channels,
                 std::int64_t groups, std::string attention_backend);
  at::Tensor operator()(const at::Tensor& x) const;
};

struct ImageMidBlock {
  std::vector<ImageResnet> resnets;
  std::optional<ImageAttention> attention;

  ImageMidBlock() = default;
  ImageMidBlock(const Scope& coder, const std::string& coder_name, std::int64_t channels,
                const AutoencoderKlConfig& config, const std::string& attention_backend);
  at::Tensor operator()(const at::Tensor& x) const;
};

// Residual blocks of one width, and what changes the size after them.
struct ImageLevel {
  std::vector<ImageResnet> resnets;
  std::optional<Conv2d> resample;
};

class ImageEncoder {
 public:
  ImageEncoder(const Scope& root, const AutoencoderKlConfig& config, const std::string& attention_backend);
  at::Tensor operator()(const at::Tensor& pixels) const;

 private:
  Conv2d conv_in_, conv_out_;
  std::vector<ImageLevel> levels_;
  ImageMidBlock mid_;
  GroupNorm conv_norm_out_;
  std::optional<Conv2d> quant_conv_;
};

class ImageDecoder {
 public:
  ImageDecoder(const Scope& root, const AutoencoderKlConfig& config, const std::string& attention_backend);
  at::Tensor operator()(const at::Tensor& latents) const;

 private:
  std::optional<Conv2d> post_quant_conv_;
  Conv2d conv_in_, conv_out_;
  std::vector<ImageLevel> levels_;
  ImageMidBlock mid_;
  GroupNorm conv_norm_out_;
};

}  // namespace bitreel
