#include "schedulers/noise/step_terms.h"

#include <ATen/ATen.h>

namespace bitreel {
namespace {

at::Tensor coefficient(double value) {
  return at::scalar_tensor(value, at::TensorOptions(at::kDouble));
}

at::Tensor implied_original(const StepTerms& terms, const at::Tensor& prediction, const at::Tensor& sample) {
  const at::Tensor signal = coefficient(terms.signal), noise = coefficient(terms.noise);
  switch (terms.type) {
    case PredictionType::v_prediction:
      return signal * sample - noise * prediction;
    case PredictionType::epsilon:
      return (sample - noise * prediction) / signal;
    case PredictionType::sample:
      break;
  }
  return prediction;
}

}  // namespace

Moved moved_by(const StepTerms& terms, const at::Tensor& prediction, const at::Tensor& sample) {
  const at::Tensor original = implied_original(terms, prediction, sample);
  at::Tensor denoised = original;
  if (terms.previous.defined())
    denoised = coefficient(terms.fresh) * original - coefficient(terms.stale) * terms.previous;
  at::Tensor next = coefficient(terms.keep) * sample + coefficient(terms.pull) * denoised;
  if (terms.drawn.defined()) next = next + coefficient(terms.stir) * terms.drawn.to(sample.device());
  return {.next = next, .original = original};
}

}  // namespace bitreel
