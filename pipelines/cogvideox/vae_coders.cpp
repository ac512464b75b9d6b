#include "pipelines/cogvideox/vae_coders.h"

#include <ATen/ATen.h>

#include <bit>
#include <utility>

namespace bitreel {
namespace {

constexpr int mid_resnets = 2;

// The configured epsilon reaches the norms of the encoder's resnets only; all others of the peer have their own.
constexpr double other_eps = 1e-6;

// The first log2(temporal compression) levels also halve, or double, time.
TimeScaling time_scaling(std::size_t level, const VaeConfig& config) {
  const auto levels =
      static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(config.temporal_compression_ratio)) - 1);
  return level < levels ? TimeScaling::halve_or_double : TimeScaling::keep;
}

}  // namespace

VaeEncoder::VaeEncoder(const Scope& scope, const VaeConfig& config, Elementwise elementwise) {
  VaeNormOptions norms{.groups = config.norm_num_groups, .eps = config.norm_eps, .elementwise = elementwise};
  const std::vector<std::int64_t>& widths = config.block_out_channels;
  conv_in_ = CausalConv3d(scope / "conv_in", config.in_channels, widths.front());
  std::int64_t in = widths.front();
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const Scope place = scope / "down_blocks" / static_cast<std::int64_t>(i);
    Level& level = down_blocks_.emplace_back();
    for (std::int64_t j = 0; j < config.layers_per_block; ++j) {
      level.resnets.emplace_back(place / "resnets" / j, j == 0 ? in : widths[i], widths[i], norms);
    }
    if (i + 1 < widths.size())
      level.downsampler.emplace(place / "downsamplers" / 0, widths[i], time_scaling(i, config));
    in = widths[i];
  }
  for (int j = 0; j < mid_resnets; ++j) {
    mid_block_.emplace_back(scope / "mid_block" / "resnets" / j, in, in, norms);
  }
  norms.eps = other_eps;
  norm_out_ = VaeNorm(scope / "norm_out", in, norms);
  conv_out_ = CausalConv3d(scope / "conv_out", in, 2 * config.latent_channels);
}

at::Tensor VaeEncoder::operator()(const at::Tensor& pixels, ConvCaches& caches) const {
  at::Tensor x = conv_in_(pixels, caches);
  for (const Level& level : down_blocks_) {
    for (const VaeResnet& resnet : level.resnets) x = resnet(std::move(x), {}, caches);
    if (level.downsampler) x = (*level.downsampler)(x);
  }
  for (const VaeResnet& resnet : mid_block_) x = resnet(std::move(x), {}, caches);
  return norm_out_.then(conv_out_, std::move(x), {}, caches);
}

VaeDecoder::VaeDecoder(const Scope& scope, const VaeConfig& config, Elementwise elementwise) {
  const VaeNormOptions norms{.groups = config.norm_num_groups,
                             .eps = other_eps,
                             .latent_channels = config.latent_channels,
                             .elementwise = elementwise};
  const std::vector<std::int64_t> widths(config.block_out_channels.rbegin(), config.block_out_channels.rend());
  conv_in_ = CausalConv3d(scope / "conv_in", config.latent_channels, widths.front());
  for (int j = 0; j < mid_resnets; ++j) {
    mid_block_.emplace_back(scope / "mid_block" / "resnets" / j, widths.front(), widths.front(), norms);
  }
  std::int64_t in = widths.front();
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const Scope place = scope / "up_blocks" / static_cast<std::int64_t>(i);
    Level& level = up_blocks_.emplace_back();
    for (std::int64_t j = 0; j < config.layers_per_block + 1; ++j) {
      level.resnets.emplace_back(place / "resnets" / j, j == 0 ? in : widths[i], widths[i], norms);
    }
    if (i + 1 < widths.size()) level.upsampler.emplace(place / "upsamplers" / 0, widths[i], time_scaling(i, config));
    in = widths[i];
  }
  norm_out_ = VaeNorm(scope / "norm_out", in, norms);
  conv_out_ = CausalConv3d(scope / "conv_out", in, config.out_channels);
}

at::Tensor VaeDecoder::operator()(const at::Tensor& latent, ConvCaches& caches) const {
  at::Tensor x = conv_in_(latent, caches);
  for (const VaeResnet& resnet : mid_block_) x = resnet(std::move(x), latent, caches);
  for (const Level& level : up_blocks_) {
    for (const VaeResnet& resnet : level.resnets) x = resnet(std::move(x), latent, caches);
    if (level.upsampler) x = (*level.upsampler)(x);
  }
  return norm_out_.then(conv_out_, std::move(x), latent, caches);
}

}  // namespace bitreel
