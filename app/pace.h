// How long a denoising will take on this CPU, guessed before the first step from slices of its work.
//
//   const Pace pace = measure_pace(cost, {.dtype = at::kFloat, .precisions = {Precision::full, Precision::int8}});
//   const double seconds = denoise_seconds(cost, pace, plan, 0);
//
// Times one matrix product at the model's width and, for each precision of the plan, attention at its number of keys,
// on few rows and one core: about a tenth of a second for each. The model states what a step computes (cost.h), the
// plan how often each precision runs. Normalizing, gating and the like are a flat share on top. Right within a factor
// of 1.5 where nothing else runs; a GPU is not guessed, its first step comes at once.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <vector>

#include "attention/attention.h"
#include "pipelines/layers/linear_precision.h"
#include "pipelines/model/cost.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

struct PaceOptions {
  at::ScalarType dtype = at::kFloat;
  std::vector<Precision> precisions = {Precision::full};
  BackendNames backends = {};  // as for the run
  LinearOptions linear = {};
};

// On all threads.
struct Pace {
  double seconds_a_product_flop = 0;
  std::map<Precision, double> attention_seconds;  // of one layer's call
};

Pace measure_pace(const Cost& cost, const PaceOptions& options);

// Of the steps after `steps_done`.
double denoise_seconds(const Cost& cost, const Pace& pace, const Plan& plan, std::int64_t steps_done);

}  // namespace bitreel
