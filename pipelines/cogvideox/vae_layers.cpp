#include "pipelines/cogvideox/vae_layers.h"

#include <ATen/ATen.h>

#include "pipelines/layers/cuda/cuda_group_norm.h"
#include "pipelines/layers/work_clock.h"

namespace bitreel {
namespace {

using OptionalSizes = at::OptionalIntArrayRef;

// cuDNN's limit as the peer sees it: past 2 GiB of 16-bit values the input is cut along time; the result is the same.
at::Tensor conv3d_in_chunks(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            at::IntArrayRef padding) {
  constexpr double gib = 1024.0 * 1024.0 * 1024.0;
  const double size = static_cast<double>(x.numel()) * 2.0 / gib;
  if (size <= 2.0) return at::conv3d(x, weight, bias, /*stride=*/1, padding);
  const std::int64_t overlap = weight.size(2) - 1;
  const std::vector<at::Tensor> chunks = x.chunk(static_cast<std::int64_t>(size / 2.0) + 1, 2);
  std::vector<at::Tensor> done;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    at::Tensor chunk = chunks[i];
    if (i > 0 && overlap > 0) {
      const at::Tensor& before = chunks[i - 1];
      chunk = at::cat({before.narrow(2, before.size(2) - overlap, overlap), chunk}, 2);
    }
    done.push_back(at::conv3d(chunk, weight, bias, 1, padding));
  }
  return at::cat(done, 2);
}

at::Tensor resize_nearest(const at::Tensor& x, at::IntArrayRef size) {
  return at::upsample_nearest3d(x, OptionalSizes(size), std::nullopt);
}

// Applies a 2D convolution to every frame of [B, C, T, H, W].
at::Tensor conv2d_per_frame(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, std::int64_t stride,
                            std::int64_t padding) {
  const std::int64_t batch = x.size(0), frames = x.size(2);
  const at::Tensor flat = x.transpose(1, 2).reshape({batch * frames, x.size(1), x.size(3), x.size(4)});
  const at::Tensor y = at::conv2d(flat, weight, bias, stride, padding);
  return y.reshape({batch, frames, y.size(1), y.size(2), y.size(3)}).permute({0, 2, 1, 3, 4});
}

bool splits_first_frame(const at::Tensor& x) {
  return x.size(2) > 1 && x.size(2) % 2 == 1;
}

at::Tensor rest_of(const at::Tensor& x) {
  return x.narrow(2, 1, x.size(2) - 1);
}

}  // namespace

CausalConv3d::CausalConv3d(const Scope& scope, std::int64_t in, std::int64_t out)
    : weight((scope / "conv").tensor("weight", {out, in, 3, 3, 3})), bias((scope / "conv").tensor("bias", {out})) {}

ConvInput CausalConv3d::room_for(const at::Tensor& x) const {
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes[2] += ConvInput::before;
  return ConvInput(at::empty(sizes, x.options(), weight.suggest_memory_format()));
}

at::Tensor CausalConv3d::operator()(const ConvInput& input, ConvCaches& caches) const {
  const Timed until_done("convolution");
  at::Tensor& cache = caches[this];
  input.two_before().copy_(cache.defined() ? cache : input.first());
  cache = input.last_two().clone();  // of the two frames alone: the input is large
  return conv3d_in_chunks(input.all(), weight, bias, {0, 1, 1});
}

at::Tensor CausalConv3d::operator()(const at::Tensor& x, ConvCaches& caches) const {
  const ConvInput input = room_for(x);
  input.frames().copy_(x);
  return (*this)(input, caches);
}

PointwiseConv3d::PointwiseConv3d(const Scope& scope, std::int64_t in, std::int64_t out)
    : weight(scope.tensor("weight", {out, in, 1, 1, 1})), bias(scope.tensor("bias", {out})) {}

at::Tensor PointwiseConv3d::operator()(const at::Tensor& x) const {
  return conv3d_in_chunks(x, weight, bias, {0, 0, 0});
}

VaeNorm::VaeNorm(const Scope& scope, std::int64_t channels, const VaeNormOptions& options)
    : norm_layer(options.latent_channels ? scope / "norm_layer" : scope, channels, options.groups, options.eps),
      elementwise(options.elementwise) {
  if (options.latent_channels) {
    conv_y.emplace(scope / "conv_y" / "conv", *options.latent_channels, channels);
    conv_b.emplace(scope / "conv_b" / "conv", *options.latent_channels, channels);
  }
}

void VaeNorm::operator()(const at::Tensor& x, const at::Tensor& latent, at::Tensor result) const {
  const Timed until_done("norm");
  // A 1x1x1 convolution commutes with nearest-neighbour resizing, so it runs on the small latent.
  cuda::NormMaps maps;
  if (conv_y) {
    maps = {.scale = (*conv_y)(latent),
            .shift = (*conv_b)(latent),
            .frames = splits_first_frame(x) ? cuda::MapFrames::first_alone : cuda::MapFrames::shared_out};
  }
  if (elementwise == Elementwise::fused && cuda::norms_volume(x, result)) {
    cuda::norm_volume(norm_layer, x, maps, result);
    return;
  }
  at::Tensor normed = norm_layer(x);
  if (conv_y) {
    const auto height = x.size(3), width = x.size(4);
    const auto spread = [&](const at::Tensor& map) {
      if (maps.frames == cuda::MapFrames::shared_out) return resize_nearest(map, {x.size(2), height, width});
      return at::cat({resize_nearest(map.narrow(2, 0, 1), {1, height, width}),
                      resize_nearest(rest_of(map), {x.size(2) - 1, height, width})},
                     2);
    };
    normed.mul_(spread(maps.scale)).add_(spread(maps.shift));
  }
  at::silu_out(result, normed);
}

at::Tensor VaeNorm::then(const CausalConv3d& convolution, const at::Tensor& x, const at::Tensor& latent,
                         ConvCaches& caches) const {
  const ConvInput input = convolution.room_for(x);
  (*this)(x, latent, input.frames());
  return convolution(input, caches);
}

VaeResnet::VaeResnet(const Scope& scope, std::int64_t in, std::int64_t out, const VaeNormOptions& norms)
    : norm1(scope / "norm1", in, norms),
      norm2(scope / "norm2", out, norms),
      conv1(scope / "conv1", in, out),
      conv2(scope / "conv2", out, out) {
  if (in != out) conv_shortcut.emplace(scope / "conv_shortcut", in, out);
}

at::Tensor VaeResnet::operator()(const at::Tensor& x, const at::Tensor& latent, ConvCaches& caches) const {
  const at::Tensor h = norm1.then(conv1, x, latent, caches);
  at::Tensor residual = norm2.then(conv2, h, latent, caches);
  return timed("shortcut", [&] { return residual.add_(conv_shortcut ? (*conv_shortcut)(x) : x); });
}

Downsample3d::Downsample3d(const Scope& scope, std::int64_t channels, TimeScaling scaling)
    : weight((scope / "conv").tensor("weight", {channels, channels, 3, 3})),
      bias((scope / "conv").tensor("bias", {channels})),
      time(scaling) {}

at::Tensor Downsample3d::operator()(const at::Tensor& x) const {
  // LibTorch pools bf16 on no CPU; the mean of each pair is the same number, accumulated in fp32.
  const auto halve = [](const at::Tensor& frames) { return frames.unflatten(2, {-1, 2}).mean(3); };
  at::Tensor pooled = x;
  if (time == TimeScaling::halve_or_double) {
    if (x.size(2) % 2 == 0)
      pooled = halve(x);
    else if (x.size(2) > 1)
      pooled = at::cat({x.narrow(2, 0, 1), halve(rest_of(x))}, 2);
  }
  return conv2d_per_frame(at::constant_pad_nd(pooled, {0, 1, 0, 1}), weight, bias, /*stride=*/2, /*padding=*/0);
}

Upsample3d::Upsample3d(const Scope& scope, std::int64_t channels, TimeScaling scaling)
    : weight((scope / "conv").tensor("weight", {channels, channels, 3, 3})),
      bias((scope / "conv").tensor("bias", {channels})),
      time(scaling) {}

at::Tensor Upsample3d::operator()(const at::Tensor& x) const {
  const Timed until_done("resize");
  const auto grow = [](const at::Tensor& frames, std::int64_t times) {
    return resize_nearest(frames, {frames.size(2) * times, frames.size(3) * 2, frames.size(4) * 2});
  };
  at::Tensor grown;
  if (time == TimeScaling::keep || x.size(2) == 1)
    grown = grow(x, 1);
  else if (splits_first_frame(x))
    grown = at::cat({grow(x.narrow(2, 0, 1), 1), grow(rest_of(x), 2)}, 2);
  else
    grown = grow(x, 2);
  return conv2d_per_frame(grown, weight, bias, /*stride=*/1, /*padding=*/1);
}

}  // namespace bitreel
