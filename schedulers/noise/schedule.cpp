#include "schedulers/noise/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "base/error.h"

namespace bitreel {
namespace {

// numpy.linspace in fp64: start + i * step, the last element exact.
std::vector<double> linspace(double start, double stop, std::int64_t count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  const double step = count > 1 ? (stop - start) / static_cast<double>(count - 1) : 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = start + static_cast<double>(i) * step;
  if (count > 1) values.back() = stop;
  return values;
}

// torch.linspace fills its second half from the end; the last bits of scaled_linear betas depend on it.
std::vector<double> linspace_from_both_ends(double start, double stop, std::int64_t count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  const double step = count > 1 ? (stop - start) / static_cast<double>(count - 1) : 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    values[static_cast<std::size_t>(i)] =
        i < count / 2 ? start + step * static_cast<double>(i) : stop - step * static_cast<double>(count - 1 - i);
  }
  return values;
}

std::vector<double> make_betas(const NoiseScheduleConfig& config) {
  const std::int64_t count = config.num_train_timesteps;
  if (!config.trained_betas.empty()) return config.trained_betas;
  std::vector<double> betas;
  switch (config.beta_schedule) {
    case BetaSchedule::linear:
      betas = linspace_from_both_ends(config.beta_start, config.beta_end, count);
      break;
    case BetaSchedule::scaled_linear:
      betas = linspace_from_both_ends(std::sqrt(config.beta_start), std::sqrt(config.beta_end), count);
      for (double& beta : betas) beta *= beta;
      break;
    case BetaSchedule::squared_cosine: {
      // Nichol & Dhariwal, arXiv 2102.09672, eq. 17.
      const auto signal = [](double t) {
        const double c = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
        return c * c;
      };
      for (std::int64_t i = 0; i < count; ++i) {
        const double from = signal(static_cast<double>(i) / static_cast<double>(count));
        const double to = signal(static_cast<double>(i + 1) / static_cast<double>(count));
        betas.push_back(std::min(1.0 - to / from, 0.999));
      }
      break;
    }
  }
  return betas;
}

void rescale_to_zero_terminal_snr(std::vector<double>& alphas_cumprod) {
  const double first = std::sqrt(alphas_cumprod.front());
  const double last = std::sqrt(alphas_cumprod.back());
  const double scale = first / (first - last);
  for (double& value : alphas_cumprod) {
    const double root = (std::sqrt(value) - last) * scale;
    value = root * root;
  }
}

// numpy.round: halves go to the even neighbour, which is what the default rounding mode does.
std::int64_t round_half_even(double value) {
  return static_cast<std::int64_t>(std::nearbyint(value));
}

std::vector<std::int64_t> make_timesteps(const NoiseScheduleConfig& config, std::int64_t steps) {
  std::vector<std::int64_t> timesteps;
  const std::int64_t train = config.num_train_timesteps;
  switch (config.timestep_spacing) {
    case TimestepSpacing::trailing: {
      // numpy.arange(train, 0, -train / steps): length and elements by numpy's own rules, rounding included.
      const double start = static_cast<double>(train);
      const double step = -(start / static_cast<double>(steps));
      const double delta = (start + step) - start;
      const auto count = static_cast<std::int64_t>(std::ceil((0.0 - start) / step));
      for (std::int64_t i = 0; i < count; ++i) {
        timesteps.push_back(round_half_even(start + static_cast<double>(i) * delta) - 1);
      }
      break;
    }
    case TimestepSpacing::linspace:
      for (const double t : linspace(0.0, static_cast<double>(train - 1), steps))
        timesteps.push_back(round_half_even(t));
      std::reverse(timesteps.begin(), timesteps.end());
      break;
    case TimestepSpacing::leading:
      for (std::int64_t i = steps - 1; i >= 0; --i) timesteps.push_back(i * (train / steps) + config.steps_offset);
      break;
  }
  return timesteps;
}

}  // namespace

NoiseSchedule::NoiseSchedule(const NoiseScheduleConfig& config, std::int64_t steps)
    : steps_(steps), stride_(0), final_alpha_cumprod_(1.0), prediction_type_(config.prediction_type) {
  if (steps < 1 || steps > config.num_train_timesteps) {
    throw UsageError(
        fmt::format("`steps` {}: expected 1 to {}, the model's training timesteps", steps, config.num_train_timesteps),
        "50 is the usual number");
  }
  stride_ = config.num_train_timesteps / steps;
  double product = 1.0;
  for (const double beta : make_betas(config)) {
    product *= 1.0 - beta;
    const double shift = config.snr_shift_scale;
    alphas_cumprod_.push_back(product / (shift + (1.0 - shift) * product));
  }
  if (config.rescale_betas_zero_snr) rescale_to_zero_terminal_snr(alphas_cumprod_);
  if (!config.set_alpha_to_one) final_alpha_cumprod_ = alphas_cumprod_.front();
  timesteps_ = make_timesteps(config, steps);
}

double NoiseSchedule::alpha_bar(std::int64_t timestep) const {
  const auto count = static_cast<std::int64_t>(alphas_cumprod_.size());
  const std::int64_t index = timestep < 0 ? timestep + count : timestep;
  if (index < 0 || index >= count) {
    throw Error(fmt::format("timestep {} is outside the noise schedule of {} steps", timestep, count),
                "lower steps_offset in scheduler_config.json or choose another number of steps");
  }
  return alphas_cumprod_[static_cast<std::size_t>(index)];
}

double NoiseSchedule::alpha_bar_previous(std::int64_t timestep) const {
  const std::int64_t target = previous(timestep);
  return target >= 0 ? alpha_bar(target) : final_alpha_cumprod_;
}

}  // namespace bitreel
