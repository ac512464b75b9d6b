#include "attention/cuda/sm90/attend.h"

#include "attention/cuda/sm90/launch.cuh"

namespace bitreel::cuda::sm90 {
namespace {

// Measured (LOG.md). At head dim 64, CogVideoX's, accuracy goes before the last 4% of speed.
using Narrow = Tuning<3, 3, 4, 4>;
using Wide = Tuning<2, 3, 4, 8>;

template <class Out>
cudaError_t attend_as(const PackedCall& call, cudaStream_t stream) {
  return call.dim == 64 ? launch<Out, 64, Narrow>(call, stream) : launch<Out, 128, Wide>(call, stream);
}

}  // namespace

const char* refuses(const Recipe& recipe, const PackedCall& call) {
  if (call.causal != 0) return "causality";
  if (call.key_count != nullptr) return "a key mask";
  if (recipe.smooth_q == Smoothing::on) return "queries without their blocks' means, whose term it does not add";
  // Without it a row's scores may all be negative, while those of padding are zero.
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
  if (call.four_bits != 0) return "integers packed as halves of bytes";
  return nullptr;
}

int attend(const Recipe& /*recipe*/, const PackedCall& call, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  switch (call.element) {
    case Element::fp16:
      return attend_as<__half>(call, on);
    case Element::bf16:
      return attend_as<__nv_bfloat16>(call, on);
    default:
      return attend_as<float>(call, on);
  }
}

}  // namespace bitreel::cuda::sm90
