// Classifier-free guidance: how far a step is pushed from the negative prompt towards the prompt.
//
//   const at::Tensor prediction = guided(predictions, guidance_at(request, step, timestep));
//
// guided = negative + guidance (prompt - negative).
// Source: Ho & Salimans, arXiv 2207.12598; the dynamic form: diffusers pipeline_cogvideox.py, use_dynamic_cfg.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "pipelines/model/request.h"

namespace bitreel {

inline bool uses_guidance(const Request& request) {
  return request.guidance_scale > 1.0;
}

// step: 0 .. steps - 1; timestep: the training timestep of that step.
double guidance_at(const Request& request, std::int64_t step, std::int64_t timestep);

// [negative; prompt] of a batch of two -> the guided prediction, a batch of one.
at::Tensor guided(const at::Tensor& predictions, double guidance);

}  // namespace bitreel
