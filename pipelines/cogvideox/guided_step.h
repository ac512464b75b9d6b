// Guidance and the scheduler's step, in one pass over the latents where a GPU has the kernel (guided_step_call.h).
//
//   const NoiseScheduler::Move move = [&](const StepTerms& terms) {
//     return guided_step(predictions, 6.0, latents, terms, Elementwise::fused);
//   };
//   latents = scheduler->step_by(move, index, latents, generator);
//
// predictions: [negative; prompt], or the prompt's alone, which nothing guides, in the model's dtype, as are latents.
// Both paths have the same bits in the latents' dtype: composed ones, fp32 where these are not, still are to be
// rounded.
#pragma once

#include <ATen/core/Tensor.h>

#include "pipelines/model/run_options.h"
#include "schedulers/noise/step_terms.h"

namespace bitreel {

Moved guided_step(const at::Tensor& predictions, double guidance, const at::Tensor& sample, const StepTerms& terms,
                  Elementwise path);

}  // namespace bitreel
