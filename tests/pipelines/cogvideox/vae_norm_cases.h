// Norms of the VAE for tests that run them in two ways: every layout, memory that vectors fit and that they don't,
// frames with the first alone, and without maps.
//
//   for (const VaeNormCase& one : vae_norm_cases()) {
//     const VaeNormInputs in = inputs_of(one, at::kBFloat16, at::kCPU);
//     in.norm(in.x, in.latent, in.room());
//   }
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <ostream>
#include <vector>

#include "pipelines/cogvideox/vae_layers.h"

namespace bitreel {

struct VaeNormCase {
  std::vector<std::int64_t> sizes;        // of x: [B, C, T, H, W]
  std::vector<std::int64_t> latent_size;  // [t, h, w]; empty: no maps
  std::int64_t groups = 4;
  ConvolutionLayout layout = ConvolutionLayout::planar;
  double mean = 0;
};

inline std::ostream& operator<<(std::ostream& out, const VaeNormCase& one) {
  return out << at::IntArrayRef(one.sizes) << " with maps " << at::IntArrayRef(one.latent_size) << ", " << one.groups
             << " groups, " << name_of(one.layout);
}

inline std::vector<VaeNormCase> vae_norm_cases() {
  std::vector<VaeNormCase> cases;
  for (const ConvolutionLayout layout : {ConvolutionLayout::planar, ConvolutionLayout::channels_last}) {
    const std::vector<VaeNormCase> of_each = {
        {.sizes = {1, 32, 5, 16, 24}, .latent_size = {3, 2, 3}, .layout = layout},  // twice, the first alone
        {.sizes = {1, 16, 9, 8, 20}, .latent_size = {3, 4, 10}, .layout = layout},  // rows of whole vectors and a half
        {.sizes = {2, 8, 4, 6, 10}, .latent_size = {2, 3, 5}, .layout = layout},    // 60 positions: none are whole
        {.sizes = {1, 12, 3, 7, 9}, .latent_size = {3, 7, 9}, .groups = 3, .layout = layout},
        {.sizes = {1, 16, 1, 30, 8}, .latent_size = {1, 7, 3}, .layout = layout},  // no whole factors
        {.sizes = {2, 24, 3, 8, 8}, .latent_size = {}, .layout = layout},
        {.sizes = {1, 8, 1, 1, 3}, .latent_size = {1, 1, 1}, .groups = 8, .layout = layout},
        {.sizes = {1, 8, 2, 160, 272}, .latent_size = {1, 20, 34}, .groups = 2, .layout = layout},  // many slices
        {.sizes = {1, 16, 2, 8, 16}, .latent_size = {}, .layout = layout, .mean = 300},
    };
    cases.insert(cases.end(), of_each.begin(), of_each.end());
  }
  return cases;
}

struct VaeNormInputs {
  VaeNorm norm;
  at::Tensor x, latent;
  at::MemoryFormat format;

  // A convolution's: a view of frames behind two more.
  [[nodiscard]] at::Tensor room() const {
    std::vector<std::int64_t> sizes = x.sizes().vec();
    sizes[2] += ConvInput::before;
    return ConvInput(at::zeros(sizes, x.options()).contiguous(format)).frames();
  }
  // The same numbers in fp64, to be composed.
  [[nodiscard]] VaeNormInputs exact() const {
    const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
    VaeNormInputs in = *this;
    in.x = wide(x);
    in.latent = latent.defined() ? wide(latent) : latent;
    in.norm.elementwise = Elementwise::composed;
    in.norm.norm_layer.weight = wide(norm.norm_layer.weight);
    in.norm.norm_layer.bias = wide(norm.norm_layer.bias);
    for (auto* conv : {&in.norm.conv_y, &in.norm.conv_b}) {
      if (*conv) **conv = PointwiseConv3d(wide((*conv)->weight), wide((*conv)->bias));
    }
    return in;
  }
};

inline VaeNormInputs inputs_of(const VaeNormCase& one, at::ScalarType dtype, at::Device device) {
  const auto normal = [&](at::IntArrayRef sizes, std::uint64_t seed) {
    return at::randn(sizes, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat));
  };
  const auto there = [&](const at::Tensor& t) { return t.to(dtype).to(device); };
  const std::int64_t channels = one.sizes[1], latent_channels = 4;
  VaeNormInputs in;
  in.format =
      one.layout == ConvolutionLayout::channels_last ? at::MemoryFormat::ChannelsLast3d : at::MemoryFormat::Contiguous;
  in.x = there(normal(one.sizes, 1) * 2 + one.mean).contiguous(in.format);
  in.norm.norm_layer.weight = there(normal({channels}, 2));
  in.norm.norm_layer.bias = there(normal({channels}, 3));
  in.norm.norm_layer.groups = one.groups;
  if (!one.latent_size.empty()) {
    std::vector<std::int64_t> sizes = {one.sizes[0], latent_channels};
    sizes.insert(sizes.end(), one.latent_size.begin(), one.latent_size.end());
    in.latent = there(normal(sizes, 4));
    const std::vector<std::int64_t> weight = {channels, latent_channels, 1, 1, 1};
    in.norm.conv_y = PointwiseConv3d(there(normal(weight, 5)), there(normal({channels}, 6)));
    in.norm.conv_b = PointwiseConv3d(there(normal(weight, 7)), there(normal({channels}, 8)));
  }
  return in;
}

// Of the maximum: fp32 sums in another order; 16-bit maps and results are rounded once each.
inline double vae_norm_tolerance(at::ScalarType dtype) {
  return dtype == at::kFloat ? 5e-6 : dtype == at::kHalf ? 1.5e-3 : 1.2e-2;
}

}  // namespace bitreel
