#include "pipelines/cogvideox/vae_layers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

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

// [B, C, T, H, W] -> [B * T, C, H, W], and back.
at::Tensor frame_by_frame(const at::Tensor& x) {
  return x.transpose(1, 2).flatten(0, 1);
}
at::Tensor in_time(const at::Tensor& frames, std::int64_t batch) {
  return frames.unflatten(0, {batch, -1}).transpose(1, 2);
}

bool splits_first_frame(const at::Tensor& x) {
  return x.size(2) > 1 && x.size(2) % 2 == 1;
}

// So that some of them are a convolution's input as they are.
bool frames_lie_together(const at::Tensor& x) {
  return x.size(0) == 1 && x.is_contiguous(at::MemoryFormat::ChannelsLast3d);
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

at::Tensor CausalConv3d::where_it_lies(const at::Tensor& x, ConvCaches& caches) const {
  constexpr std::int64_t before = ConvInput::before;
  const std::int64_t frames = x.size(2);
  if (frames <= before) return (*this)(x, caches);
  at::Tensor some = (*this)(x.narrow(2, 0, before), caches);
  const Timed until_done("convolution");
  caches[this] = x.narrow(2, frames - before, before).clone();
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes[1] = weight.size(0);
  at::Tensor y = at::empty(sizes, x.options(), weight.suggest_memory_format());
  y.narrow(2, 0, before).copy_(some);
  for (std::int64_t t = before; t < frames; t += before) {
    some = at::conv3d(x.narrow(2, t - before, std::min(2 * before, frames - t + before)), weight, bias, 1, {0, 1, 1});
    y.narrow(2, t, some.size(2)).copy_(some);
  }
  return y;
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

at::Tensor VaeNorm::then(const CausalConv3d& convolution, at::Tensor x, const at::Tensor& latent,
                         ConvCaches& caches) const {
  const ConvInput input = convolution.room_for(x);
  (*this)(x, latent, input.frames());
  x.reset();
  return convolution(input, caches);
}

VaeResnet::VaeResnet(const Scope& scope, std::int64_t in, std::int64_t out, const VaeNormOptions& norms)
    : norm1(scope / "norm1", in, norms),
      norm2(scope / "norm2", out, norms),
      conv1(scope / "conv1", in, out),
      conv2(scope / "conv2", out, out) {
  if (in != out) conv_shortcut.emplace(scope / "conv_shortcut", in, out);
}

at::Tensor VaeResnet::operator()(at::Tensor x, const at::Tensor& latent, ConvCaches& caches) const {
  const auto first = [&] {
    const auto shortcut = [&] { return timed("shortcut", [&] { return (*conv_shortcut)(x); }); };
    if (conv_shortcut && frames_lie_together(x)) {
      const at::Tensor normed = std::exchange(x, shortcut());
      norm1(normed, latent, normed);
      return conv1.where_it_lies(normed, caches);
    }
    const ConvInput input = conv1.room_for(x);
    norm1(x, latent, input.frames());
    if (conv_shortcut) x = shortcut();
    return conv1(input, caches);
  };
  at::Tensor residual = norm2.then(conv2, first(), latent, caches);
  return timed("shortcut", [&] { return residual.add_(x); });
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
  const at::Tensor padded = frame_by_frame(at::constant_pad_nd(pooled, {0, 1, 0, 1}));
  return in_time(at::conv2d(padded, weight, bias, /*stride=*/2), x.size(0));
}

Upsample3d::Upsample3d(const Scope& scope, std::int64_t channels, TimeScaling scaling)
    : weight((scope / "conv").tensor("weight", {channels, channels, 3, 3})),
      bias((scope / "conv").tensor("bias", {channels})),
      time(scaling) {}

namespace {

// Of [B * T, C, H, W].
at::Tensor grow_and_convolve(const at::Tensor& frames, const Upsample3d& by) {
  const std::int64_t height = 2 * frames.size(2), width = 2 * frames.size(3);
  const auto convolve = [&](const at::Tensor& some) {
    const at::Tensor grown = at::upsample_nearest2d(some, OptionalSizes({height, width}), std::nullopt);
    return at::conv2d(grown, by.weight, by.bias, /*stride=*/1, /*padding=*/1);
  };
  const std::int64_t count = frames.size(0);
  const std::int64_t at_once = std::max<std::int64_t>(by.numbers_at_once / (frames.size(1) * height * width), 1);
  if (count <= at_once) return convolve(frames);
  at::Tensor all =
      at::empty({count, by.weight.size(0), height, width}, frames.options(), by.weight.suggest_memory_format());
  for (std::int64_t first = 0; first < count; first += at_once) {
    const std::int64_t some = std::min(at_once, count - first);
    all.narrow(0, first, some).copy_(convolve(frames.narrow(0, first, some)));
  }
  return all;
}

}  // namespace

at::Tensor Upsample3d::operator()(const at::Tensor& x) const {
  const Timed until_done("resize");
  const std::int64_t batch = x.size(0), frames = x.size(2);
  const at::MemoryFormat layout = weight.suggest_memory_format();
  at::Tensor y = in_time(grow_and_convolve(frame_by_frame(x).contiguous(layout), *this), batch);
  if (time == TimeScaling::keep || frames == 1) return y;
  // The two frames that one becomes are equal, so it is convolved once.
  const std::int64_t alone = frames % 2, all = alone + 2 * (frames - alone);
  at::Tensor doubled = in_time(at::empty({batch * all, y.size(1), y.size(3), y.size(4)}, y.options(), layout), batch);
  doubled.narrow(2, 0, alone).copy_(y.narrow(2, 0, alone));
  doubled.narrow(2, alone, all - alone).unflatten(2, {-1, 2}).copy_(y.narrow(2, alone, frames - alone).unsqueeze(3));
  return doubled;
}

}  // namespace bitreel
