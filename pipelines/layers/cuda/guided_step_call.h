// Guidance and a scheduler's step on a GPU in one pass over the latents: what schedulers/noise/step_terms.h says of v,
// with the roundings of LibTorch's operations one by one, so to their bits. pipelines/cogvideox/guided_step.h fills the
// call.
#pragma once

#include <cstdint>

#include "pipelines/layers/cuda/group_norm_call.h"

namespace bitreel::cuda {

// Arrays of so many numbers, whole vectors of eight on addresses that are multiples of 16, in the element where nothing
// else is said.
struct GuidedStepCall {
  VolumeElement element;
  std::int64_t numbers;
  const void* prediction[2];  // the negative prompt's and the prompt's; or one alone, and null
  const void *sample, *drawn;
  const float* previous;  // as drawn null where there is none
  void* next;
  float* original;
  float guidance, signal, noise, keep, pull, fresh, stale, stir;
};

int guided_step(const GuidedStepCall& call, void* stream);

}  // namespace bitreel::cuda
