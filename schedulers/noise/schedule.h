// The noise schedule of a diffusion model: how much signal is left at each training timestep, and which timesteps a
// sampler visits.
//
//   const NoiseSchedule schedule(config, 50);
//   schedule.timesteps();          // 999, 979, ..., 19 with trailing spacing
//   schedule.alpha_bar(999);       // 0 with zero terminal SNR
//
// abar_t = prod(1 - beta), shifted by the SNR scale, then rescaled to zero terminal SNR (Lin et al., arXiv 2305.08891,
// algorithm 1); all in fp64. Peer: diffusers scheduling_ddim_cogvideox.py, whose set_timesteps takes numpy.arange over
// a stride that is no whole number: 62 of the step counts below 1000 get a timestep more than asked, -1.
#pragma once

#include <cstdint>
#include <vector>

namespace bitreel {

enum class BetaSchedule { linear, scaled_linear, squared_cosine };
enum class TimestepSpacing { trailing, linspace, leading };
enum class PredictionType { v_prediction, epsilon, sample };

// Defaults are the class defaults of the peer's CogVideoX schedulers.
struct NoiseScheduleConfig {
  std::int64_t num_train_timesteps = 1000;
  double beta_start = 0.00085;
  double beta_end = 0.012;
  BetaSchedule beta_schedule = BetaSchedule::scaled_linear;
  std::vector<double> trained_betas;  // overrides the three above unless empty
  bool set_alpha_to_one = true;
  std::int64_t steps_offset = 0;
  PredictionType prediction_type = PredictionType::epsilon;
  TimestepSpacing timestep_spacing = TimestepSpacing::leading;
  bool rescale_betas_zero_snr = false;
  double snr_shift_scale = 3.0;
};

class NoiseSchedule {
 public:
  // Throws UsageError unless 1 <= steps <= num_train_timesteps.
  NoiseSchedule(const NoiseScheduleConfig& config, std::int64_t steps);

  // The timesteps visited, first to last. For 62 step counts there is one more than asked, ending in -1.
  // Neighbours need not be equally far apart.
  [[nodiscard]] const std::vector<std::int64_t>& timesteps() const { return timesteps_; }
  [[nodiscard]] std::int64_t steps() const { return steps_; }
  [[nodiscard]] PredictionType prediction_type() const { return prediction_type_; }

  // abar at a training timestep; -1 counts from the end, as it does in the peer.
  [[nodiscard]] double alpha_bar(std::int64_t timestep) const;
  // Where a step of the CogVideoX schedulers leads to from `timestep`: the peer subtracts a fixed stride, which need
  // not be the next entry of timesteps(). Solvers that go from one timestep to the next take timesteps() as it is.
  [[nodiscard]] std::int64_t previous(std::int64_t timestep) const { return timestep - stride_; }
  // abar where a step leads to: the table's, or the final one when the stride leaves the table.
  [[nodiscard]] double alpha_bar_previous(std::int64_t timestep) const;

 private:
  std::vector<double> alphas_cumprod_;
  std::vector<std::int64_t> timesteps_;
  std::int64_t steps_;
  std::int64_t stride_;
  double final_alpha_cumprod_;
  PredictionType prediction_type_;
};

}  // namespace bitreel
