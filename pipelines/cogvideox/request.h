// What a clip is asked to be, with every default filled in from the checkpoint, and the checks made before any work.
//
//   Request request = default_request(config);   // size, frames, steps, guidance as the peer would choose
//   request.prompt = "a red circle moves right on a navy background";
//   check(request, config);                      // throws UsageError naming the nearest valid value
//
// Defaults follow diffusers' CogVideoXPipeline.__call__ (pipelines.md B.5, C.1).
#pragma once

#include <cstdint>
#include <string>

#include "pipelines/cogvideox/config.h"

namespace bitreel {

enum class SchedulerKind { ddim, dpm };

// off: guidance_scale at every step. peer: diffusers' formula on the raw training timestep, exactly.
// ramp: the same formula on the loop index, the cosine ramp that its authors meant (diffusers PR 13172).
enum class DynamicGuidance { off, peer, ramp };

struct Request {
  std::string prompt;
  std::string negative_prompt;
  std::int64_t width = 0;       // pixels
  std::int64_t height = 0;      // pixels
  std::int64_t num_frames = 0;  // frames in the clip
  std::int64_t steps = 50;
  double guidance_scale = 6.0;  // classifier-free guidance runs when > 1
  DynamicGuidance dynamic_cfg = DynamicGuidance::off;
  SchedulerKind scheduler = SchedulerKind::ddim;
  std::uint64_t seed = 0;
};

// Sizes and counts that follow from a request.
struct Geometry {
  std::int64_t latent_frames = 0;   // as denoised, padding for patch_size_t included
  std::int64_t padding_frames = 0;  // latent frames in front that are dropped before decoding
  std::int64_t latent_height = 0;
  std::int64_t latent_width = 0;
  std::int64_t text_tokens = 0;
  std::int64_t video_tokens = 0;
};

Request default_request(const CogVideoXConfig& config);
Geometry geometry_of(const Request& request, const CogVideoXConfig& config);
void check(const Request& request, const CogVideoXConfig& config);

}  // namespace bitreel
