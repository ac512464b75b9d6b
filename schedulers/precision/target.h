// The denoising that a plan or a measurement is for: which model, which noise scheduler, which timesteps.
//
//   const PlanTarget target{.model = "pocket", .model_hash = "9f86d081", .scheduler = "ddim", .layers = 12,
//                           .timesteps = {999, 749, 499, 249}};
//
// Layers and steps are counted from 0; a step is known across step counts by its timestep, not by its index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bitreel {

struct PlanTarget {
  std::string model;       // a name for people
  std::string model_hash;  // of the transformer's weights: what tells models apart; any text, compared as it is
  std::string scheduler;   // ddim, dpm
  std::int64_t layers = 0;
  std::vector<std::int64_t> timesteps;  // of every step in order, strictly falling

  [[nodiscard]] std::size_t steps() const { return timesteps.size(); }
  friend bool operator==(const PlanTarget&, const PlanTarget&) = default;
};

// More than any model has: a file that asks for more is refused before memory is.
inline constexpr std::int64_t most_layers = 1024;
inline constexpr std::size_t most_steps = 1024;

// What is wrong with it, as a sentence; empty when nothing is.
std::string problem_of(const PlanTarget& target);

}  // namespace bitreel
