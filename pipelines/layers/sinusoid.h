// Timesteps as sinusoids, cosines first: what a model is told of how noisy its input is.
//
//   at::Tensor token = timestep_sinusoid(timesteps, 1536);     // [B] -> [B, 1536], fp32
//
// Frequencies 10000^(-i / half), i = 0 .. half - 1; an odd width ends in a zero.
// Source: Vaswani et al., arXiv 1706.03762; diffusers get_timestep_embedding, flip_sin_to_cos, no frequency shift.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitreel {

at::Tensor timestep_sinusoid(const at::Tensor& timesteps, std::int64_t width);

}  // namespace bitreel
