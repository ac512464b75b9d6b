// The layers of the 3D causal VAE: convolutions that remember, norms that look at the latent, residual blocks,
// resampling.
//
// All work on [B, C, T, H, W], planar or with the channels last in memory: as the weights lie, which the VAE arranges.
// A ConvCaches object belongs to one sequence of frame batches (and one tile) and must be
// passed to every batch in order. Source: diffusers autoencoder_kl_cogvideox.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <unordered_map>
#include <vector>

#include "pipelines/layers/modules.h"
#include "pipelines/model/run_options.h"

namespace bitreel {

// The last two input frames of every causal convolution, keyed by the convolution.
using ConvCaches = std::unordered_map<const void*, at::Tensor>;

// A convolution's input before it is there: room for frames behind the two that come before them, so that whoever
// computes the frames writes them in place.
class ConvInput {
 public:
  explicit ConvInput(at::Tensor all) : all_(std::move(all)) {}

  [[nodiscard]] at::Tensor frames() const { return all_.narrow(2, before, all_.size(2) - before); }
  [[nodiscard]] at::Tensor first() const { return all_.narrow(2, before, 1); }
  [[nodiscard]] at::Tensor two_before() const { return all_.narrow(2, 0, before); }
  [[nodiscard]] at::Tensor last_two() const { return all_.narrow(2, all_.size(2) - before, before); }
  [[nodiscard]] const at::Tensor& all() const { return all_; }

  static constexpr std::int64_t before = 2;

 private:
  at::Tensor all_;
};

// 3x3x3, zero padding in space; in time the cache of the previous batch, or the first frame repeated.
struct CausalConv3d {
  at::Tensor weight, bias;

  CausalConv3d() = default;
  CausalConv3d(const Scope& scope, std::int64_t in, std::int64_t out);
  // Of frames of x's shape, to be filled before the convolution takes it.
  [[nodiscard]] ConvInput room_for(const at::Tensor& x) const;
  at::Tensor operator()(const ConvInput& input, ConvCaches& caches) const;
  at::Tensor operator()(const at::Tensor& x, ConvCaches& caches) const;  // copies x into its place
  // Of frames that lie one behind the other in memory, as with the channels last: they are a convolution's input as
  // they are, two at a time, so that little is there besides x and the result. Only the first two, which look at
  // frames before x, are copied.
  [[nodiscard]] at::Tensor where_it_lies(const at::Tensor& x, ConvCaches& caches) const;
};

// 1x1x1: no neighbours, so no cache.
struct PointwiseConv3d {
  at::Tensor weight, bias;

  PointwiseConv3d() = default;
  PointwiseConv3d(at::Tensor weights, at::Tensor biases) : weight(std::move(weights)), bias(std::move(biases)) {}
  PointwiseConv3d(const Scope& scope, std::int64_t in, std::int64_t out);
  at::Tensor operator()(const at::Tensor& x) const;
};

// What the norms of a coder have in common.
struct VaeNormOptions {
  std::int64_t groups = 32;
  double eps = 1e-6;
  std::optional<std::int64_t> latent_channels = {};  // of the latent that the decoder conditions on
  Elementwise elementwise = Elementwise::fused;
};

// Group norm, in the decoder scaled and shifted by maps of the latent (MoVQ, arXiv 2209.09002), then SiLU. Fused on a
// GPU where the plugin is: one rounding instead of four (pipelines/layers/cuda/group_norm_call.h).
struct VaeNorm {
  GroupNorm norm_layer;
  std::optional<PointwiseConv3d> conv_y, conv_b;
  Elementwise elementwise = Elementwise::fused;

  VaeNorm() = default;
  VaeNorm(const Scope& scope, std::int64_t channels, const VaeNormOptions& options);
  // Into `result`, of x's shape.
  void operator()(const at::Tensor& x, const at::Tensor& latent, at::Tensor result) const;
  // As a convolution's input, and through it. x is given up in between.
  at::Tensor then(const CausalConv3d& convolution, at::Tensor x, const at::Tensor& latent, ConvCaches& caches) const;
};

struct VaeResnet {
  VaeNorm norm1, norm2;
  CausalConv3d conv1, conv2;
  std::optional<PointwiseConv3d> conv_shortcut;

  VaeResnet(const Scope& scope, std::int64_t in, std::int64_t out, const VaeNormOptions& norms);
  // x is given up as soon as may be, or written over: it is among the largest tensors of a decoder.
  at::Tensor operator()(at::Tensor x, const at::Tensor& latent, ConvCaches& caches) const;
};

enum class TimeScaling { keep, halve_or_double };

// Averages pairs of frames (an odd first frame stays), then halves height and width with a strided convolution.
struct Downsample3d {
  at::Tensor weight, bias;
  TimeScaling time = TimeScaling::keep;

  Downsample3d(const Scope& scope, std::int64_t channels, TimeScaling time);
  at::Tensor operator()(const at::Tensor& x) const;
};

// Nearest-neighbour doubling (an odd first frame is not doubled in time) and a convolution per frame, which equal
// frames share. Grown frames are four times as large, so only some are there at once.
struct Upsample3d {
  at::Tensor weight, bias;
  TimeScaling time = TimeScaling::keep;
  std::int64_t numbers_at_once = std::int64_t{1} << 26;  // of grown frames; one of them at least

  Upsample3d() = default;
  Upsample3d(const Scope& scope, std::int64_t channels, TimeScaling time);
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace bitreel
