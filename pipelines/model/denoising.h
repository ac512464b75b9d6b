// What a denoising takes and tells: steps as they are done, and the state from which another run goes on.
//
//   model->denoise(request, embeddings, {.on_step = [&](const StepEvent& event) { keep(event.state()); }});
//   model->denoise(request, embeddings, {.from = kept});    // the same latents, bit for bit
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/model/layer_attention.h"
#include "pipelines/model/request.h"
#include "schedulers/noise/scheduler.h"

namespace bitreel {

// By the names of the latents.
using LatentShapes = std::map<std::string, std::vector<std::int64_t>>;

// Between two steps: all that the rest of a denoising follows from.
struct DenoisingState {
  std::int64_t steps_done = 0;
  NamedTensors latents;    // the samples that the next step starts from, and what they depend on
  NamedTensors scheduler;  // NoiseScheduler::state
  at::Tensor generator;    // LibTorch's own, as bytes
};

// Sent after each denoising step.
struct StepEvent {
  DenoisingStep step;
  double guidance_scale = 0;
  const NamedTensors& latents;  // the samples that the next step starts from
  std::function<DenoisingState()> state;
};

using StepCallback = std::function<void(const StepEvent&)>;

struct DenoiseOptions {
  StepCallback on_step = {};
  StepAttention attention_of_step = {};                    // full precision everywhere when empty
  std::function<void(const std::string&)> on_remark = {};  // what a person should know, found out on the way
  std::optional<DenoisingState> from = {};
};

// One of several clips that are denoised together (Pipeline::denoise_together).
struct Denoising {
  Request request;
  NamedTensors embeddings;
  DenoiseOptions options = {};
};

// Errors, for models to call: a state that is not of these latents or not of one of `count` steps; latents that are no
// longer finite, naming the step.
void check_state(const DenoisingState& state, const LatentShapes& shapes, std::int64_t count);
void check_finite(const NamedTensors& latents, const DenoisingStep& step);

}  // namespace bitreel
