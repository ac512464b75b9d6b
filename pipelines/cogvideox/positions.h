// Where a token stands: rotary angles for 5b and 1.5, an added sin-cos table for 2b, and the timestep's sinusoid.
//
//   const Rotary rotary = rotary_positions(config, 13, 30, 45);       // cos, sin [13*30*45, head_dim / 2]
//   at::Tensor table = sincos_positions(config, 13, 30, 45);          // [13*30*45, D] fp64
//
// Frames, height and width are in tokens. Sources: RoPE, arXiv 2104.09864; diffusers embeddings.py and
// pipeline_cogvideox.py, _prepare_rotary_positional_embeddings.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "pipelines/cogvideox/config.h"

namespace bitreel {

struct Rotary {
  // [video tokens, head_dim / 2] fp32, one angle for two neighbouring features; undefined when the model has no rotary
  // embeddings.
  at::Tensor cos, sin;
};

// 1.0 models stretch the grid into the box that they were trained on (linspace with crop); 1.5 models count from zero
// (slice) and throw UsageError when the grid is larger than their table.
Rotary rotary_positions(const TransformerConfig& config, std::int64_t frames, std::int64_t height, std::int64_t width);

// The computed table of models without rotary embeddings: a quarter of the features for time, the rest for place.
at::Tensor sincos_positions(const TransformerConfig& config, std::int64_t frames, std::int64_t height,
                            std::int64_t width);

// [values] -> [values, dim] fp32.
at::Tensor sinusoid(const at::Tensor& values, std::int64_t dim, const TransformerConfig& config);

}  // namespace bitreel
