// A scheduler's step as numbers and what they multiply: enough to compute all of it in one pass over the latents.
//
//   const Moved moved = moved_by(terms, prediction, sample);   // LibTorch's operations one by one, in the peer's order
//   sample = moved.next;
//
// With previous and drawn where the scheduler has them:
//   original = what prediction and sample imply: signal * sample - noise * prediction where that is v
//   next = keep * sample + pull * (fresh * original - stale * previous) + stir * drawn
// moved_by() multiplies with 0-dim fp64 tensors: so the peer holds its coefficients, and a half-precision sample times
// such a tensor rounds differently from one times a number. v: Salimans & Ho, arXiv 2202.00512.
#pragma once

#include <ATen/core/Tensor.h>

#include "schedulers/noise/schedule.h"

namespace bitreel {

struct StepTerms {
  PredictionType type = PredictionType::v_prediction;
  double signal = 0, noise = 0, keep = 0, pull = 0;
  double fresh = 1, stale = 0, stir = 0;
  at::Tensor previous = {};  // an earlier original, fp32; undefined: the original alone is pulled at
  at::Tensor drawn = {};     // fresh noise in the sample's dtype, on its device or not; undefined: none
};

// In the promoted dtype of sample and prediction.
struct Moved {
  at::Tensor next, original;
};

// prediction: fp32, any shape; sample: same shape, the model's dtype.
Moved moved_by(const StepTerms& terms, const at::Tensor& prediction, const at::Tensor& sample);

}  // namespace bitreel
