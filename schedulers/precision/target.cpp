#include "schedulers/precision/target.h"

#include <fmt/format.h>

namespace bitreel {

std::string problem_of(const PlanTarget& target) {
  if (target.model.empty()) return "the model has no name";
  if (target.model_hash.empty()) return "the model has no hash";
  if (target.scheduler.empty()) return "the scheduler has no name";
  if (target.layers < 1 || target.layers > most_layers)
    return fmt::format("layers is {}, expected 1 to {}", target.layers, most_layers);
  if (target.timesteps.empty() || target.steps() > most_steps)
    return fmt::format("there are {} timesteps, expected 1 to {}", target.steps(), most_steps);
  for (std::size_t step = 1; step < target.steps(); ++step) {
    const std::int64_t before = target.timesteps[step - 1], here = target.timesteps[step];
    if (here >= before)
      return fmt::format("timestep {} comes after {}, expected them to fall from step to step", here, before);
  }
  return {};
}

}  // namespace bitreel
