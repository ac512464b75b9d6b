// Group norm, maps and SiLU over volumes on a GPU through the plugin's kernels (group_norm_call.h).
//
//   if (cuda::norms_volume(x, y)) cuda::norm_volume(norm, x, {.scale = scale, .shift = shift}, y);
//
// x, y: [B, C, T, H, W], y a view if need be, planar or with the channels last; each frame's rows follow each other.
// Without a GPU in use or without the plugin nothing is taken, and callers compose LibTorch's operations.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "pipelines/layers/cuda/group_norm_call.h"
#include "pipelines/layers/modules.h"

namespace bitreel::cuda {

enum class MapFrames { shared_out, first_alone };

// [B, C, t, h, w], resized to x as upsample_nearest3d does; undefined: none. first_alone: the first frame takes the
// first of theirs, and the others share out the rest.
struct NormMaps {
  at::Tensor scale = {}, shift = {};
  MapFrames frames = MapFrames::shared_out;
};

// Nothing for a dtype that these kernels do not have.
std::optional<VolumeElement> element_of(at::ScalarType dtype);

bool norms_volume(const at::Tensor& x, const at::Tensor& y);

// Into y, of x's shape.
void norm_volume(const GroupNorm& norm, const at::Tensor& x, const NormMaps& maps, const at::Tensor& y);

// The kernels' call and what it points to besides x, y and the norm's.
struct PreparedGroupNorm {
  GroupNormCall call;
  NormMaps maps;
  at::Tensor work;
};

PreparedGroupNorm prepare(const GroupNorm& norm, const at::Tensor& x, const NormMaps& maps, const at::Tensor& y);

}  // namespace bitreel::cuda
