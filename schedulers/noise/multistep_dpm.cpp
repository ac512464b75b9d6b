#include "schedulers/noise/multistep_dpm.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace bitreel {
namespace {

// All in fp32 with the peer's operations, as the last bits of its noise levels depend on them.
at::Tensor betas_of(const MultistepDpmConfig& config) {
  const std::int64_t count = config.num_train_timesteps;
  const at::TensorOptions fp32(at::kFloat);
  if (!config.trained_betas.empty()) return at::tensor(config.trained_betas, fp32);
  switch (config.beta_schedule) {
    case BetaSchedule::linear:
      return at::linspace(config.beta_start, config.beta_end, count, fp32);
    case BetaSchedule::scaled_linear:
      return at::linspace(std::sqrt(config.beta_start), std::sqrt(config.beta_end), count, fp32).pow(2);
    case BetaSchedule::squared_cosine:
      break;
  }
  // Nichol & Dhariwal, arXiv 2102.09672, eq. 17.
  const auto signal = [](double t) { return std::pow(std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2), 2); };
  std::vector<double> betas;
  for (std::int64_t i = 0; i < count; ++i) {
    const double from = signal(static_cast<double>(i) / static_cast<double>(count));
    const double to = signal(static_cast<double>(i + 1) / static_cast<double>(count));
    betas.push_back(std::min(1.0 - to / from, 0.999));
  }
  return at::tensor(betas, fp32);
}

// Lin et al., arXiv 2305.08891, algorithm 1.
at::Tensor rescaled_to_zero_snr(const at::Tensor& betas) {
  at::Tensor roots = at::cumprod(1.0 - betas, 0).sqrt();
  const at::Tensor first = roots[0].clone(), last = roots[-1].clone();
  roots = (roots - last) * (first / (first - last));
  const at::Tensor bars = roots.pow(2);
  const at::Tensor alphas = at::cat({bars.narrow(0, 0, 1), bars.slice(0, 1) / bars.slice(0, 0, -1)});
  return 1 - alphas;
}

std::int64_t rounded(double value) {
  return static_cast<std::int64_t>(std::nearbyint(value));  // halves to the even neighbour, as numpy does
}

std::vector<std::int64_t> spaced(const MultistepDpmConfig& config, std::int64_t steps, std::int64_t last) {
  std::vector<std::int64_t> timesteps;
  switch (config.timestep_spacing) {
    case TimestepSpacing::linspace: {
      const double step = static_cast<double>(last - 1) / static_cast<double>(steps);
      for (std::int64_t i = steps; i >= 1; --i) {
        timesteps.push_back(rounded(i == steps ? static_cast<double>(last - 1) : static_cast<double>(i) * step));
      }
      break;
    }
    case TimestepSpacing::leading:
      for (std::int64_t i = steps; i >= 1; --i) timesteps.push_back(i * (last / (steps + 1)) + config.steps_offset);
      break;
    case TimestepSpacing::trailing: {
      // numpy.arange(last, 0, -train / steps): length and elements by numpy's own rules, rounding included.
      const auto start = static_cast<double>(last);
      const double step = -(static_cast<double>(config.num_train_timesteps) / static_cast<double>(steps));
      const double delta = (start + step) - start;
      const auto count = static_cast<std::int64_t>(std::ceil((0.0 - start) / step));
      for (std::int64_t i = 0; i < count; ++i) timesteps.push_back(rounded(start + static_cast<double>(i) * delta) - 1);
      break;
    }
  }
  return timesteps;
}

}  // namespace

MultistepDpm::MultistepDpm(const MultistepDpmConfig& config, std::int64_t steps) : config_(config) {
  const std::int64_t train = config.num_train_timesteps;
  if (steps < 1 || steps > train) {
    throw UsageError(fmt::format("`steps` {}: expected 1 to {}, the model's training timesteps", steps, train),
                     "50 is the usual number");
  }
  const at::Tensor betas = config.rescale_betas_zero_snr ? rescaled_to_zero_snr(betas_of(config)) : betas_of(config);
  at::Tensor bars = at::cumprod(1.0 - betas, 0);
  constexpr double smallest_half = 1.0 / (1 << 24);  // near nought, so that the first noise level is finite
  if (config.rescale_betas_zero_snr) bars[-1].fill_(smallest_half);
  const at::Tensor lambdas = at::log(at::sqrt(bars)) - at::log(at::sqrt(1 - bars));
  const std::int64_t clipped = at::searchsorted(lambdas.flip(0), config.lambda_min_clipped).item<std::int64_t>();
  timesteps_ = spaced(config, steps, train - clipped);
  if (timesteps_.size() > 1 && timesteps_[0] == timesteps_[1]) {
    throw UsageError(
        fmt::format("`steps` {}: the first two steps would be at the same timestep {}", steps, timesteps_[0]),
        "ask for fewer steps");
  }
  const at::Tensor levels = ((1 - bars) / bars).pow(0.5);
  std::vector<at::Tensor> sigmas;
  for (const std::int64_t t : timesteps_) sigmas.push_back(levels[std::clamp<std::int64_t>(t, 0, train - 1)]);
  sigmas.push_back(config.final_sigma == FinalSigma::zero ? at::zeros_like(levels[0]) : levels[0]);
  sigmas_ = at::stack(sigmas);
}

MultistepDpm::Level MultistepDpm::level(std::size_t index) const {
  const at::Tensor ratio = sigmas_[static_cast<std::int64_t>(index)];
  const at::Tensor alpha = 1 / (ratio.pow(2) + 1).pow(0.5);
  const at::Tensor sigma = ratio * alpha;
  return {.alpha = alpha, .sigma = sigma, .lambda = at::log(alpha) - at::log(sigma)};
}

// Saharia et al., Imagen, arXiv 2205.11487, section 2.3.
at::Tensor MultistepDpm::clipped(const at::Tensor& original) const {
  const at::Tensor flat = original.to(at::kFloat).reshape({original.size(0), -1});
  const at::Tensor most =
      at::quantile(flat.abs(), config_.dynamic_thresholding_ratio, 1).clamp(1, config_.sample_max_value).unsqueeze(1);
  return (at::clamp(flat, -most, most) / most).reshape(original.sizes()).to(original.scalar_type());
}

// What is integrated: the data or the noise that the prediction implies.
at::Tensor MultistepDpm::converted(const at::Tensor& prediction, std::size_t index, const at::Tensor& sample) const {
  const auto [alpha, sigma, lambda] = level(index);
  const bool data = config_.algorithm == DpmAlgorithm::dpmsolver_plus_plus ||
                    config_.algorithm == DpmAlgorithm::sde_dpmsolver_plus_plus;
  if (data) {
    at::Tensor original = prediction;
    if (config_.prediction_type == PredictionType::epsilon) original = (sample - sigma * prediction) / alpha;
    if (config_.prediction_type == PredictionType::v_prediction) original = alpha * sample - sigma * prediction;
    return config_.thresholding ? clipped(original) : original;
  }
  at::Tensor noise = prediction;
  if (config_.prediction_type == PredictionType::sample) noise = (sample - alpha * prediction) / sigma;
  if (config_.prediction_type == PredictionType::v_prediction) noise = alpha * prediction + sigma * sample;
  if (!config_.thresholding) return noise;
  return (sample - alpha * clipped((sample - sigma * noise) / alpha)) / sigma;
}

std::int64_t MultistepDpm::order_at(std::size_t index) const {
  constexpr std::size_t few = 15;  // steps below which the last ones need lower orders to be stable
  const std::size_t count = timesteps_.size();
  const bool lowers = config_.lower_order_final && count < few;
  const bool last = index + 1 == count;
  const auto known = static_cast<std::int64_t>(outputs_.size());
  if (known < 2 || (last && (config_.euler_at_final || lowers || config_.final_sigma == FinalSigma::zero))) return 1;
  if (known < 3 || (index + 2 == count && lowers)) return 2;
  return 3;
}

at::Tensor MultistepDpm::advance(std::int64_t order, std::size_t index, const at::Tensor& sample,
                                 const at::Tensor& noise) const {
  const Level to = level(index + 1), at_now = level(index);
  const at::Tensor h = to.lambda - at_now.lambda;
  const at::Tensor& newest = outputs_.back();
  // Divided differences of the outputs: d1 as a slope, d2 as a curvature.
  at::Tensor d1, d2;
  if (order >= 2) {
    const at::Tensor r0 = (at_now.lambda - level(index - 1).lambda) / h;
    d1 = (1.0 / r0) * (newest - outputs_[outputs_.size() - 2]);
    if (order == 3) {
      const at::Tensor r1 = (level(index - 1).lambda - level(index - 2).lambda) / h;
      const at::Tensor before = (1.0 / r1) * (outputs_[outputs_.size() - 2] - outputs_[outputs_.size() - 3]);
      const at::Tensor apart = d1 - before;
      d2 = (1.0 / (r0 + r1)) * apart;
      d1 = d1 + (r0 / (r0 + r1)) * apart;
    }
  }
  // A solver of order 3 weights the slope as Heun's of order 2 does.
  const bool midpoint = order == 2 && config_.solver_type == DpmSolverType::midpoint;
  at::Tensor next;
  switch (config_.algorithm) {
    case DpmAlgorithm::dpmsolver_plus_plus: {
      const at::Tensor decay = at::exp(-h) - 1.0;
      next = (to.sigma / at_now.sigma) * sample - (to.alpha * decay) * newest;
      if (midpoint) next = next - 0.5 * (to.alpha * decay) * d1;
      if (order >= 2 && !midpoint) next = next + (to.alpha * (decay / h + 1.0)) * d1;
      if (order == 3) next = next - (to.alpha * ((decay + h) / h.pow(2) - 0.5)) * d2;
      break;
    }
    case DpmAlgorithm::dpmsolver: {
      const at::Tensor growth = at::exp(h) - 1.0;
      next = (to.alpha / at_now.alpha) * sample - (to.sigma * growth) * newest;
      if (midpoint) next = next - 0.5 * (to.sigma * growth) * d1;
      if (order >= 2 && !midpoint) next = next - (to.sigma * (growth / h - 1.0)) * d1;
      if (order == 3) next = next - (to.sigma * ((growth - h) / h.pow(2) - 0.5)) * d2;
      break;
    }
    case DpmAlgorithm::sde_dpmsolver_plus_plus: {
      const at::Tensor decay = 1.0 - at::exp(-2.0 * h);
      next = (to.sigma / at_now.sigma * at::exp(-h)) * sample + (to.alpha * decay) * newest;
      if (midpoint) next = next + 0.5 * (to.alpha * decay) * d1;
      if (order >= 2 && !midpoint) next = next + (to.alpha * (decay / (-2.0 * h) + 1.0)) * d1;
      if (order == 3) next = next + (to.alpha * ((decay - 2.0 * h) / (2.0 * h).pow(2) - 0.5)) * d2;
      next = next + to.sigma * at::sqrt(decay) * noise;
      break;
    }
    case DpmAlgorithm::sde_dpmsolver: {
      const at::Tensor growth = at::exp(h) - 1.0;
      next = (to.alpha / at_now.alpha) * sample - 2.0 * (to.sigma * growth) * newest;
      if (midpoint) next = next - (to.sigma * growth) * d1;
      if (order == 2 && !midpoint) next = next - 2.0 * (to.sigma * (growth / h - 1.0)) * d1;
      next = next + to.sigma * at::sqrt(at::exp(2 * h) - 1.0) * noise;
      break;
    }
  }
  return next;
}

at::Tensor MultistepDpm::step(const at::Tensor& prediction, std::size_t index, const at::Tensor& sample,
                              const at::Generator& generator) {
  outputs_.push_back(converted(prediction, index, sample));
  if (static_cast<std::int64_t>(outputs_.size()) > config_.solver_order) outputs_.erase(outputs_.begin());
  at::Tensor noise;
  if (config_.algorithm == DpmAlgorithm::sde_dpmsolver_plus_plus || config_.algorithm == DpmAlgorithm::sde_dpmsolver) {
    // Drawn in fp32 on the generator's device, then moved.
    noise = at::randn(sample.sizes(), generator, at::TensorOptions(at::kFloat).device(generator.device()))
                .to(sample.device());
  }
  const at::Tensor next = advance(order_at(index), index, sample.to(at::kFloat), noise);
  return next.to(outputs_.back().scalar_type());
}

std::map<std::string, at::Tensor> MultistepDpm::state() const {
  std::map<std::string, at::Tensor> state;
  for (std::size_t i = 0; i < outputs_.size(); ++i) state.emplace(fmt::format("earlier_output_{}", i), outputs_[i]);
  return state;
}

void MultistepDpm::restore(const std::map<std::string, at::Tensor>& state) {
  outputs_.clear();
  for (std::size_t i = 0; i < state.size(); ++i) {
    const auto found = state.find(fmt::format("earlier_output_{}", i));
    if (found == state.end() || static_cast<std::int64_t>(i) >= config_.solver_order) {
      throw Error(fmt::format("the state holds {}, this scheduler keeps up to {} earlier outputs", state.begin()->first,
                              config_.solver_order),
                  "go on with the scheduler that began");
    }
    outputs_.push_back(found->second);
  }
}

}  // namespace bitreel
