// A CogVideoX clip's defaults and sizes, and the checks made before any work.
//
//   Request request = default_request(config);   // size, frames, steps, guidance as the peer would choose
//   request.prompt = "a red circle moves right on a navy background";
//   check(request, config);                      // throws UsageError naming the nearest valid value
//
// Defaults follow diffusers' CogVideoXPipeline.__call__ (pipeline_cogvideox.py).
#pragma once

#include <cstdint>

#include "pipelines/cogvideox/config.h"
#include "pipelines/model/request.h"

namespace bitreel {

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
