// The denoisings that the precision tests plan for.
#pragma once

#include <cstdint>
#include <vector>

#include "schedulers/precision/target.h"

namespace bitreel::test {

// `steps` timesteps from 999, evenly spaced as trailing spacing has them.
inline PlanTarget target_of(std::int64_t layers, std::int64_t steps) {
  PlanTarget target{
      .model = "pocket", .model_hash = "9f86d081", .scheduler = "ddim", .layers = layers, .timesteps = {}};
  for (std::int64_t step = 0; step < steps; ++step) target.timesteps.push_back(1000 - 1000 * step / steps - 1);
  return target;
}

}  // namespace bitreel::test
