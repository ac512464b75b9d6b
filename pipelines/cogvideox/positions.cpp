#include "pipelines/cogvideox/positions.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace bitreel {
namespace {

constexpr double theta = 10000.0;
const at::TensorOptions fp32 = at::TensorOptions(at::kFloat);
const at::TensorOptions fp64 = at::TensorOptions(at::kDouble);

struct Span {
  double start, stop;
};

struct Crop {
  Span height, width;
};

// The part of the base grid that a grid of this aspect covers when it is fitted inside. Rounds halves to even.
Crop crop_of_base(std::int64_t height, std::int64_t width, std::int64_t base_height, std::int64_t base_width) {
  const auto h = static_cast<double>(height);
  const auto w = static_cast<double>(width);
  const auto bh = static_cast<double>(base_height);
  const auto bw = static_cast<double>(base_width);
  double fit_height = bh;
  double fit_width = bw;
  if (h / w > bh / bw) {
    fit_width = std::nearbyint(bh / h * w);
  } else {
    fit_height = std::nearbyint(bw / w * h);
  }
  const double top = std::nearbyint((bh - fit_height) / 2.0);
  const double left = std::nearbyint((bw - fit_width) / 2.0);
  return {.height = {top, top + fit_height}, .width = {left, left + fit_width}};
}

// n positions from start up to, not including, stop.
at::Tensor spread(Span span, std::int64_t n) {
  return at::linspace(span.start, span.stop * static_cast<double>(n - 1) / static_cast<double>(n), n, fp32);
}

// [n] positions -> [n, dim / 2] angles, one for each pair of features.
at::Tensor angles(const at::Tensor& positions, std::int64_t dim) {
  const at::Tensor exponents = at::arange(0, dim, 2, fp32) / static_cast<double>(dim);
  const at::Tensor frequencies = 1.0 / at::pow(theta, exponents);
  return at::outer(positions, frequencies);
}

// [T, dt], [H, dh], [W, dw] -> [T*H*W, dt + dh + dw].
at::Tensor over_grid(const at::Tensor& t, const at::Tensor& h, const at::Tensor& w) {
  const std::int64_t frames = t.size(0), height = h.size(0), width = w.size(0);
  return at::cat({t.view({frames, 1, 1, -1}).expand({frames, height, width, -1}),
                  h.view({1, height, 1, -1}).expand({frames, height, width, -1}),
                  w.view({1, 1, width, -1}).expand({frames, height, width, -1})},
                 -1)
      .reshape({frames * height * width, -1});
}

// [n] fp32 positions -> [n, dim] fp64, sines then cosines.
at::Tensor sines_then_cosines(const at::Tensor& positions, std::int64_t dim) {
  const at::Tensor exponents = at::arange(dim / 2, fp64) / (static_cast<double>(dim) / 2.0);
  const at::Tensor omega = 1.0 / at::pow(theta, exponents);
  const at::Tensor phase = at::outer(positions.to(at::kDouble), omega);
  return at::cat({at::sin(phase), at::cos(phase)}, 1);
}

}  // namespace

Rotary rotary_positions(const TransformerConfig& config, std::int64_t frames, std::int64_t height, std::int64_t width) {
  if (!config.use_rotary_positional_embeddings) return {};
  const std::int64_t base_height = config.sample_height / config.patch_size;
  const std::int64_t base_width = config.sample_width / config.patch_size;
  at::Tensor h, w, t;
  if (config.patch_size_t) {
    if (height > base_height || width > base_width) {
      throw UsageError(fmt::format("the clip is {}x{} tokens, this model's position table is {}x{}", width, height,
                                   base_width, base_height),
                       "choose a width and height no larger than the default");
    }
    h = at::arange(height, fp32);
    w = at::arange(width, fp32);
    t = at::arange(frames, fp32);
  } else {
    const Crop crop = crop_of_base(height, width, base_height, base_width);
    h = spread(crop.height, height);
    w = spread(crop.width, width);
    t = spread({0.0, static_cast<double>(frames)}, frames);
  }
  const std::int64_t dim = config.attention_head_dim;
  const at::Tensor angle = over_grid(angles(t, dim / 4), angles(h, dim / 8 * 3), angles(w, dim / 8 * 3));
  return {.cos = at::cos(angle), .sin = at::sin(angle)};
}

at::Tensor sincos_positions(const TransformerConfig& config, std::int64_t frames, std::int64_t height,
                            std::int64_t width) {
  const std::int64_t dim = config.inner_dim();
  const auto positions = [&](std::int64_t n, double scale) { return at::arange(n, fp32) / scale; };
  const std::int64_t spatial = 3 * dim / 4;
  const at::Tensor t = sines_then_cosines(positions(frames, config.temporal_interpolation_scale), dim / 4);
  const at::Tensor h = sines_then_cosines(positions(height, config.spatial_interpolation_scale), spatial / 2);
  const at::Tensor w = sines_then_cosines(positions(width, config.spatial_interpolation_scale), spatial / 2);
  // Time first, then width before height.
  return at::cat({t.view({frames, 1, 1, -1}).expand({frames, height, width, -1}),
                  w.view({1, 1, width, -1}).expand({frames, height, width, -1}),
                  h.view({1, height, 1, -1}).expand({frames, height, width, -1})},
                 -1)
      .reshape({frames * height * width, dim});
}

at::Tensor sinusoid(const at::Tensor& values, std::int64_t dim, const TransformerConfig& config) {
  const std::int64_t half = dim / 2;
  const at::Tensor exponents =
      at::arange(half, fp32) * -std::log(theta) / (static_cast<double>(half) - config.freq_shift);
  const at::Tensor phase = values.to(at::kCPU, at::kFloat).unsqueeze(1) * at::exp(exponents).unsqueeze(0);
  const at::Tensor sine = at::sin(phase), cosine = at::cos(phase);
  at::Tensor table = config.flip_sin_to_cos ? at::cat({cosine, sine}, -1) : at::cat({sine, cosine}, -1);
  return dim % 2 == 1 ? at::constant_pad_nd(table, {0, 1}) : table;
}

}  // namespace bitreel
