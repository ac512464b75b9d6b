#include "pipelines/layers/cuda/cuda_group_norm.h"

#include <ATen/ATen.h>

#include "pipelines/layers/cuda/cuda_rows.h"

namespace bitreel::cuda {
namespace {

std::int32_t small(std::int64_t value) {
  return static_cast<std::int32_t>(value);
}

// Strides of dimensions of one are anything.
std::int64_t elements_between(const at::Tensor& x, std::int64_t dim) {
  return x.size(dim) == 1 ? 0 : x.stride(dim);
}

Volume volume_of(const at::Tensor& x) {
  return {x.const_data_ptr(), elements_between(x, 0), elements_between(x, 1), elements_between(x, 2),
          x.size(4) == 1 ? elements_between(x, 3) : x.stride(4)};
}

bool rows_follow(const at::Tensor& x) {
  return x.size(3) == 1 || x.size(4) == 1 || x.stride(3) == x.size(4) * x.stride(4);
}

}  // namespace

std::optional<VolumeElement> element_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return VolumeElement::fp32;
    case at::kBFloat16:
      return VolumeElement::bf16;
    case at::kHalf:
      return VolumeElement::fp16;
    default:
      return std::nullopt;
  }
}

bool norms_volume(const at::Tensor& x, const at::Tensor& y) {
  return element_of(x.scalar_type()) && has_plugin(x.device()) && rows_follow(x) && rows_follow(y) && x.numel() > 0;
}

PreparedGroupNorm prepare(const GroupNorm& norm, const at::Tensor& x, const NormMaps& given, const at::Tensor& y) {
  NormMaps maps = given;
  const bool mapped = maps.scale.defined();
  if (mapped) {  // as y lies, so that a vector of its channels has one of theirs
    maps.scale = maps.scale.contiguous(y.suggest_memory_format());
    maps.shift = maps.shift.contiguous(y.suggest_memory_format());
  }
  const auto map_size = [&](std::int64_t dim) { return mapped ? small(maps.scale.size(dim)) : 0; };
  GroupNormCall call{.element = element_of(x.scalar_type()).value(),
                     .clips = small(x.size(0)),
                     .channels = small(x.size(1)),
                     .groups = small(norm.groups),
                     .frames = small(x.size(2)),
                     .height = small(x.size(3)),
                     .width = small(x.size(4)),
                     .x = volume_of(x),
                     .y = volume_of(y),
                     .weight = norm.weight.const_data_ptr(),
                     .bias = norm.bias.const_data_ptr(),
                     .scale = mapped ? volume_of(maps.scale) : Volume{},
                     .shift = mapped ? volume_of(maps.shift) : Volume{},
                     .map_frames = map_size(2),
                     .map_height = map_size(3),
                     .map_width = map_size(4),
                     .first_frame_alone = maps.frames == MapFrames::first_alone ? 1 : 0,
                     .eps = static_cast<float>(norm.eps),
                     .work = nullptr};
  at::Tensor work = at::empty({sums_of(call), 2}, x.options().dtype(at::kFloat));
  call.work = work.mutable_data_ptr<float>();
  return {call, std::move(maps), std::move(work)};
}

void norm_volume(const GroupNorm& norm, const at::Tensor& x, const NormMaps& maps, const at::Tensor& y) {
  const PreparedGroupNorm prepared = prepare(norm, x, maps, y);
  check_rows(loaded_rows().group_norm(prepared.call, current_stream(x)), "group norm");
}

}  // namespace bitreel::cuda
