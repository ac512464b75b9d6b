#include "attention/cuda/sm90/attend.h"

#include "attention/cuda/sm90/launch.cuh"

namespace bitreel::cuda::sm90 {
namespace {

// Measured (LOG.md).
template <Product product>
using Narrow = Tuning<3, 3, 4, 8, product>;
template <Product product>
using Wide = Tuning<2, 3, 4, 8, product>;

template <Product product>
cudaError_t attend_to(const PackedCall& call, cudaStream_t stream) {
  return call.dim == 64 ? launch<64, Narrow<product>>(call, stream) : launch<128, Wide<product>>(call, stream);
}

}  // namespace

const char* refuses(const Recipe& recipe, const PackedCall& call) {
  if (call.causal != 0) return "causality";
  if (call.key_count != nullptr) return "a key mask";
  if (recipe.smooth_q == Smoothing::on) return "queries without their blocks' means, whose term it does not add";
  // Without it a row's scores may all be negative, while those of padding are zero. The mean of some keys will do: its
  // scores with these are not all negative.
  if (recipe.smooth_k == Smoothing::off) return "keys with their mean";
  if (recipe.k_scales != Granularity::warpgroup || call.key_scales != KeyScales::warpgroup) {
    return "scales of keys that are not a warpgroup's";
  }
  if (recipe.pv != PvFormat::fp8_ones_row || call.values != ValueFormat::e4m3) {
    return "a product with V other than fp8-ones-row";
  }
  if (recipe.maximum != Maximum::running || recipe.key_block != tile_keys) {
    return "a maximum other than the running one over blocks of 128 keys";
  }
  const IntegerFormat expected = recipe.qk == QkFormat::int4 ? IntegerFormat::e4m3 : IntegerFormat::bytes;
  if (call.integers != expected) return "integers in another format";
  return nullptr;
}

int attend(const Recipe& /*recipe*/, const PackedCall& call, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  return call.integers == IntegerFormat::e4m3 ? attend_to<Product::e4m3>(call, on) : attend_to<Product::int8>(call, on);
}

}  // namespace bitreel::cuda::sm90
