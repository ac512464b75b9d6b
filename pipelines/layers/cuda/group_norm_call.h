// The group norm of a VAE on a GPU: normed, scaled and shifted by maps of a smaller volume, SiLU, in three launches.
// cuda_group_norm.h fills the call from tensors.
//
// y = silu((norm(x) * weight + bias) * scale + shift); without maps y = silu(norm(x) * weight + bias). x is read twice:
// for the moments, which are sums over slices in an order that depends on the sizes alone, and for y. Arithmetic is
// fp32 (sums over slices fp64), y is rounded once: nearer to exact numbers than LibTorch's operations one by one, which
// round 16-bit numbers after the norm, the scale and the shift too. Maps are read where upsample_nearest3d would have
// put them: place * (float(map size) / size), rounded down.
#pragma once

#include <cstdint>

namespace bitreel::cuda {

enum class VolumeElement : std::int32_t { fp32, bf16, fp16 };

// [clips, channels, frames, positions]: elements from one to the next of each. A frame's rows follow each other.
struct Volume {
  const void* data;
  std::int64_t clip, channel, frame, position;
};

struct GroupNormCall {
  VolumeElement element;
  std::int32_t clips, channels, groups, frames, height, width;
  Volume x, y;
  const void *weight, *bias;  // [channels]
  Volume scale, shift;        // data is null without maps
  std::int32_t map_frames, map_height, map_width;
  std::int32_t first_frame_alone;  // 1: the first frame takes the maps' first, the others share out the rest
  float eps;
  float* work;  // sums_of(call) pairs
};

// As slices are shared out. Eight neighbours in memory are taken at once where they lie on 16 bytes: of a frame's
// positions, or of a position's channels.
enum class Neighbours { none, positions, channels };

inline constexpr int norm_threads = 256;
inline constexpr int vectors_of_a_sum = 16;  // of a thread

inline Neighbours neighbours_of(const GroupNormCall& call) {
  const auto whole = [](std::int64_t count) { return count % 8 == 0; };
  const auto on_16_bytes = [&](const Volume& v) {
    return v.data == nullptr ||
           (reinterpret_cast<std::uintptr_t>(v.data) % 16 == 0 && whole(v.clip) && whole(v.frame) &&
            (v.position == 1 || whole(v.position)) && (v.channel == 1 || whole(v.channel)));
  };
  if (!on_16_bytes(call.x) || !on_16_bytes(call.y)) return Neighbours::none;
  if (call.x.position == 1 && call.y.position == 1 && whole(std::int64_t{call.height} * call.width))
    return Neighbours::positions;
  const auto packed = [&](const Volume& v) { return v.data == nullptr || v.channel == 1; };
  const bool all_packed = packed(call.x) && packed(call.y) && packed(call.scale) && packed(call.shift);
  if (all_packed && on_16_bytes(call.scale) && on_16_bytes(call.shift) && whole(call.channels))
    return Neighbours::channels;
  return Neighbours::none;
}

// What a block of threads takes: `units` vectors side by side over channels, and over positions the rest.
struct NormShares {
  std::int32_t units, unit_blocks, lanes;
  std::int32_t positions;  // at once

  [[nodiscard]] constexpr std::int32_t chunks(const GroupNormCall& call, std::int32_t vectors) const {
    const std::int32_t one = positions * vectors;
    return (call.height * call.width + one - 1) / one;
  }
};

inline NormShares shares_of(const GroupNormCall& call) {
  const Neighbours neighbours = neighbours_of(call);
  if (neighbours == Neighbours::channels) {
    const std::int32_t all = call.channels / 8, units = all < norm_threads ? all : norm_threads;
    return {units, (all + units - 1) / units, norm_threads / units, norm_threads / units};
  }
  return {1, call.channels, norm_threads, norm_threads * (neighbours == Neighbours::positions ? 8 : 1)};
}

// Pairs of fp32 that the call needs room for: a sum for every channel and slice of a clip, then a factor and a term for
// every channel.
inline std::int64_t sums_of(const GroupNormCall& call) {
  const std::int64_t slices = std::int64_t{call.frames} * shares_of(call).chunks(call, vectors_of_a_sum);
  return std::int64_t{call.clips} * call.channels * (slices + 1);
}

// The first CUDA error, 0 for none.
int group_norm(const GroupNormCall& call, void* stream);

}  // namespace bitreel::cuda
