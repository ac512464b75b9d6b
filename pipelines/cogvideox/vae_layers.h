// The layers of the 3D causal VAE: convolutions that remember, norms that look at the latent, residual blocks,
// resampling.
//
// All work on [B, C, T, H, W]. A ConvCaches object belongs to one sequence of frame batches (and one tile) and must be
// passed to every batch in order. Source: diffusers autoencoder_kl_cogvideox.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <unordered_map>
#include <vector>

#include "pipelines/cogvideox/config.h"
#include "pipelines/layers/modules.h"

namespace bitreel {

// The last two input frames of every causal convolution, keyed by the convolution.
using ConvCaches = std::unordered_map<const void*, at::Tensor>;

// 3x3x3, zero padding in space; in time the cache of the previous batch, or the first frame repeated.
struct CausalConv3d {
  at::Tensor weight, bias;

  CausalConv3d() = default;
  CausalConv3d(const Scope& scope, std::int64_t in, std::int64_t out);
  at::Tensor operator()(const at::Tensor& x, ConvCaches& caches) const;
};

// 1x1x1: no neighbours, so no cache.
struct PointwiseConv3d {
  at::Tensor weight, bias;

  PointwiseConv3d() = default;
  PointwiseConv3d(const Scope& scope, std::int64_t in, std::int64_t out);
  at::Tensor operator()(const at::Tensor& x) const;
};

// Group norm, in the decoder scaled and shifted by maps of the latent (MoVQ, arXiv 2209.09002).
struct VaeNorm {
  GroupNorm norm_layer;
  std::optional<PointwiseConv3d> conv_y, conv_b;

  VaeNorm() = default;
  // latent_channels: of the latent that the decoder conditions on; none in the encoder.
  VaeNorm(const Scope& scope, std::int64_t channels, const VaeConfig& config,
          std::optional<std::int64_t> latent_channels, double eps);
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& latent) const;
};

struct VaeResnet {
  VaeNorm norm1, norm2;
  CausalConv3d conv1, conv2;
  std::optional<PointwiseConv3d> conv_shortcut;

  VaeResnet(const Scope& scope, std::int64_t in, std::int64_t out, const VaeConfig& config,
            std::optional<std::int64_t> latent_channels);
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& latent, ConvCaches& caches) const;
};

enum class TimeScaling { keep, halve_or_double };

// Averages pairs of frames (an odd first frame stays), then halves height and width with a strided convolution.
struct Downsample3d {
  at::Tensor weight, bias;
  TimeScaling time = TimeScaling::keep;

  Downsample3d(const Scope& scope, std::int64_t channels, TimeScaling time);
  at::Tensor operator()(const at::Tensor& x) const;
};

// Nearest-neighbour doubling (an odd first frame is not doubled in time), then a convolution per frame.
struct Upsample3d {
  at::Tensor weight, bias;
  TimeScaling time = TimeScaling::keep;

  Upsample3d(const Scope& scope, std::int64_t channels, TimeScaling time);
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace bitreel
