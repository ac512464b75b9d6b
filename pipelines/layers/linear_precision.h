// In how many bits the large products of a denoiser run, and who computes them.
//
//   const LinearOptions linear{.precision = LinearPrecision::fp8};
//   linear_library(linear, at::kCUDA, at::kBFloat16);      // "cuBLASLt"; "plain" where no library has such a product
//
// int8: weights in one scale per output, activations in one scale per token, both to the nearest of 255 integers.
// fp8: the same scales, e4m3 numbers. The products are summed in int32 or fp32, scaled, and rounded once to the dtype.
// Weights that are stored in fp8 have a scale per output too, and are turned back into the dtype for each product: a
// byte a number, and products in full precision. On a CPU without VNNI oneDNN's pairs of products saturate at 16 bits,
// so int8 weights have 127 levels there.
#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

namespace bitreel {

enum class LinearPrecision { full, int8, fp8 };
// library: oneDNN or cuBLASLt where they have the product. plain: LibTorch operations one by one, readable and slow.
// In full precision on a GPU: our own calls of cuBLASLt where they are faster (cuda_product.h), or LibTorch's.
enum class LinearPath { library, plain };

// Of products in full precision; in 8 bits weights are stored as they are multiplied.
enum class WeightStorage { full, fp8 };

struct LinearOptions {
  LinearPrecision precision = LinearPrecision::full;
  LinearPath path = LinearPath::library;
  WeightStorage weights = WeightStorage::full;
};

std::string_view name_of(LinearPrecision precision);
std::string_view name_of(LinearPath path);
std::string_view name_of(WeightStorage storage);

// Who multiplies there: in full precision "LibTorch", or "bitreel" (panel_linear.h); "oneDNN", "cuBLASLt", or "plain".
std::string_view linear_library(const LinearOptions& linear, at::Device device, at::ScalarType dtype);

}  // namespace bitreel
