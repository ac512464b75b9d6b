#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_fields.h"
#include "schedulers/noise/multistep_dpm.h"

namespace bitreel {
namespace {

const std::string file = "scheduler/scheduler_config.json";

// JSON has no infinity; files say "-Infinity", which the peer's own reader takes, or a string.
double lambda_min(const nlohmann::json& json, const JsonFields& fields) {
  constexpr double none = -std::numeric_limits<double>::infinity();
  const auto found = json.find("lambda_min_clipped");
  if (found == json.end() || found->is_null() || *found == "-inf" || *found == "-Infinity") return none;
  return fields.real("lambda_min_clipped", none, {-1e6, 1e6});
}

}  // namespace

MultistepDpmConfig read_multistep_dpm_config(const nlohmann::json& json) {
  const JsonFields fields(json, file);
  MultistepDpmConfig config;
  for (const char* key : {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas",
                          "use_flow_sigmas", "use_dynamic_shifting"}) {
    if (fields.boolean(key, false)) {
      throw Error(fmt::format("{}: {} is true, expected false", file, key),
                  "this version spaces noise levels by timesteps only; set it to false");
    }
  }
  if (json.contains("variance_type") && !json["variance_type"].is_null()) {
    throw Error(fmt::format("{}: variance_type is {}, expected null", file, json["variance_type"].dump()));
  }
  config.num_train_timesteps = fields.integer("num_train_timesteps", config.num_train_timesteps, {1, 1 << 20});
  config.beta_start = fields.real("beta_start", config.beta_start, {0, 1});
  config.beta_end = fields.real("beta_end", config.beta_end, {0, 1});
  config.beta_schedule = static_cast<BetaSchedule>(
      fields.choice("beta_schedule", "linear", {"linear", "scaled_linear", "squaredcos_cap_v2"}));
  if (const auto betas = json.find("trained_betas"); betas != json.end() && !betas->is_null()) {
    if (!betas->is_array() || betas->size() != static_cast<std::size_t>(config.num_train_timesteps)) {
      throw Error(fmt::format("{}: trained_betas, expected null or {} numbers", file, config.num_train_timesteps));
    }
    config.trained_betas = betas->get<std::vector<double>>();
  }
  config.solver_order = fields.integer("solver_order", config.solver_order, {1, 3});
  config.prediction_type =
      static_cast<PredictionType>(fields.choice("prediction_type", "epsilon", {"v_prediction", "epsilon", "sample"}));
  config.thresholding = fields.boolean("thresholding", config.thresholding);
  config.dynamic_thresholding_ratio =
      fields.real("dynamic_thresholding_ratio", config.dynamic_thresholding_ratio, {0, 1});
  config.sample_max_value = fields.real("sample_max_value", config.sample_max_value, {1, 1e6});
  // "deis" and three solver types are other schedulers' words, which the peer takes as these.
  const std::vector<std::string> algorithms = {"dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver", "deis"};
  const std::size_t algorithm = fields.choice("algorithm_type", "dpmsolver++", algorithms);
  config.algorithm = algorithm == 4 ? DpmAlgorithm::dpmsolver_plus_plus : static_cast<DpmAlgorithm>(algorithm);
  config.solver_type = fields.choice("solver_type", "midpoint", {"midpoint", "heun", "logrho", "bh1", "bh2"}) == 1
                           ? DpmSolverType::heun
                           : DpmSolverType::midpoint;
  config.lower_order_final = fields.boolean("lower_order_final", config.lower_order_final);
  config.euler_at_final = fields.boolean("euler_at_final", config.euler_at_final);
  config.final_sigma = static_cast<FinalSigma>(fields.choice("final_sigmas_type", "zero", {"zero", "sigma_min"}));
  config.lambda_min_clipped = lambda_min(json, fields);
  config.timestep_spacing =
      static_cast<TimestepSpacing>(fields.choice("timestep_spacing", "linspace", {"trailing", "linspace", "leading"}));
  config.steps_offset = fields.integer("steps_offset", config.steps_offset, {0, 1000});
  config.rescale_betas_zero_snr = fields.boolean("rescale_betas_zero_snr", config.rescale_betas_zero_snr);

  const bool integrates_noise =
      config.algorithm == DpmAlgorithm::dpmsolver || config.algorithm == DpmAlgorithm::sde_dpmsolver;
  if (integrates_noise && config.final_sigma == FinalSigma::zero) {
    throw Error(fmt::format("{}: algorithm_type {} with final_sigmas_type zero, expected sigma_min", file,
                            algorithms[algorithm]));
  }
  if (config.algorithm == DpmAlgorithm::sde_dpmsolver && config.solver_order == 3) {
    throw Error(fmt::format("{}: algorithm_type sde-dpmsolver with solver_order 3, expected 1 or 2", file));
  }
  return config;
}

}  // namespace bitreel
