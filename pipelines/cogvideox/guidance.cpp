#include "pipelines/cogvideox/guidance.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

namespace bitreel {

double guidance_at(const Request& request, std::int64_t step, std::int64_t timestep) {
  if (request.dynamic_cfg == DynamicGuidance::off) return request.guidance_scale;
  // The peer puts the timestep (0..999) where a step (0..n) was meant; the swing that results is what models were shown
  // with.
  const std::int64_t position = request.dynamic_cfg == DynamicGuidance::peer ? timestep : step;
  const auto steps = static_cast<double>(request.steps);
  const double left = (steps - static_cast<double>(position)) / steps;
  return 1.0 + request.guidance_scale * ((1.0 - std::cos(std::numbers::pi * std::pow(left, 5.0))) / 2.0);
}

at::Tensor guided(const at::Tensor& predictions, double guidance) {
  const std::vector<at::Tensor> halves = predictions.chunk(2);
  return halves[0] + guidance * (halves[1] - halves[0]);
}

}  // namespace bitreel
