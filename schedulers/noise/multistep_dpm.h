// DPM-Solver and DPM-Solver++, multistep, orders 1 to 3, deterministic or stochastic: diffusers'
// DPMSolverMultistepScheduler for every spacing, prediction and solver type of its class.
//
//   MultistepDpm solver(read_multistep_dpm_config(checkpoint.config("scheduler")), 50);
//   for (std::size_t i = 0; i < solver.timesteps().size(); ++i)
//     latents = solver.step(model(latents, solver.timesteps()[i]), i, latents, generator);
//
// prediction and sample: any shape, both in the model's dtype, which the result has too. Noise levels are fp32, as in
// the peer, and so is every sum; only what the model's output implies is formed in the model's dtype. Sources: Lu et
// al., DPM-Solver, arXiv 2206.00927, and DPM-Solver++, arXiv 2211.01095. Errors: Error for a configuration that names
// what this version lacks (Karras, exponential, beta, Lu and flow sigmas, learned variance); UsageError for step counts
// out of range.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "schedulers/noise/schedule.h"

namespace bitreel {

// What is integrated: the predicted data (++) or the predicted noise; as an ODE or, with fresh noise each step, an SDE.
enum class DpmAlgorithm { dpmsolver_plus_plus, sde_dpmsolver_plus_plus, dpmsolver, sde_dpmsolver };
enum class DpmSolverType { midpoint, heun };
enum class FinalSigma { zero, sigma_min };

// Defaults are the peer's class defaults.
struct MultistepDpmConfig {
  std::int64_t num_train_timesteps = 1000;
  double beta_start = 0.0001;
  double beta_end = 0.02;
  BetaSchedule beta_schedule = BetaSchedule::linear;
  std::vector<double> trained_betas;  // overrides the three above unless empty
  std::int64_t solver_order = 2;
  PredictionType prediction_type = PredictionType::epsilon;
  bool thresholding = false;
  double dynamic_thresholding_ratio = 0.995;
  double sample_max_value = 1.0;
  DpmAlgorithm algorithm = DpmAlgorithm::dpmsolver_plus_plus;
  DpmSolverType solver_type = DpmSolverType::midpoint;
  bool lower_order_final = true;
  bool euler_at_final = false;
  FinalSigma final_sigma = FinalSigma::zero;
  double lambda_min_clipped = -std::numeric_limits<double>::infinity();
  TimestepSpacing timestep_spacing = TimestepSpacing::linspace;
  std::int64_t steps_offset = 0;
  bool rescale_betas_zero_snr = false;
};

MultistepDpmConfig read_multistep_dpm_config(const nlohmann::json& config);

class MultistepDpm {
 public:
  MultistepDpm(const MultistepDpmConfig& config, std::int64_t steps);

  // The training timesteps visited, first to last. Trailing spacing may give one more than asked.
  [[nodiscard]] const std::vector<std::int64_t>& timesteps() const { return timesteps_; }
  // Noise over signal at each timestep and after the last, fp32.
  [[nodiscard]] const at::Tensor& sigmas() const { return sigmas_; }

  // The sample after step `index`. Steps must be taken in order.
  at::Tensor step(const at::Tensor& prediction, std::size_t index, const at::Tensor& sample,
                  const at::Generator& generator);

  // What the next step needs beside the sample, by name: earlier predictions; and the same in another run.
  [[nodiscard]] std::map<std::string, at::Tensor> state() const;
  void restore(const std::map<std::string, at::Tensor>& state);

 private:
  // Signal, noise and half the logarithm of their ratio squared, 0-dim fp32.
  struct Level {
    at::Tensor alpha, sigma, lambda;
  };

  [[nodiscard]] Level level(std::size_t index) const;
  [[nodiscard]] at::Tensor converted(const at::Tensor& prediction, std::size_t index, const at::Tensor& sample) const;
  [[nodiscard]] at::Tensor clipped(const at::Tensor& original) const;
  [[nodiscard]] std::int64_t order_at(std::size_t index) const;
  [[nodiscard]] at::Tensor advance(std::int64_t order, std::size_t index, const at::Tensor& sample,
                                   const at::Tensor& noise) const;

  MultistepDpmConfig config_;
  std::vector<std::int64_t> timesteps_;
  at::Tensor sigmas_;
  std::vector<at::Tensor> outputs_;  // converted predictions, the newest last, at most solver_order
};

}  // namespace bitreel
