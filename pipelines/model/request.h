// What a clip, a picture or a caption is asked to be: the settings that models share, each with its own defaults and
// checks (pipeline.h).
//
//   Request request = model->default_request();
//   request.prompt = "a red circle moves right on a navy background";
//   model->check(request);                          // UsageError that names the nearest valid value
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pipelines/image/picture.h"
#include "schedulers/noise/scheduler.h"

namespace bitreel {

// off: guidance_scale at every step. peer: diffusers' formula on the raw training timestep, exactly.
// ramp: the same formula on the step's index, the cosine ramp that its authors meant (diffusers pull request 13172).
enum class DynamicGuidance { off, peer, ramp };

struct Request {
  std::string mode;  // by name, one of the model's (pipeline.h)
  std::string prompt;
  std::optional<Picture> picture = {};  // of modes that take one
  std::string negative_prompt;
  std::int64_t width = 0;       // pixels
  std::int64_t height = 0;      // pixels
  std::int64_t num_frames = 0;  // frames in the clip; 0 for models that make none
  std::int64_t count = 1;       // samples: pictures, captions or pairs of both from one run
  std::int64_t steps = 50;
  double guidance_scale = 6.0;  // classifier-free guidance runs when > 1
  DynamicGuidance dynamic_cfg = DynamicGuidance::off;
  SchedulerKind scheduler = SchedulerKind::ddim;
  std::uint64_t seed = 0;
};

}  // namespace bitreel
