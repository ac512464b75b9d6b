// Schedule configurations as the goldens' case.json writes them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "schedulers/noise/schedule.h"

namespace bitreel {

inline TimestepSpacing spacing_from(const std::string& name) {
  if (name == "trailing") return TimestepSpacing::trailing;
  return name == "linspace" ? TimestepSpacing::linspace : TimestepSpacing::leading;
}

inline PredictionType prediction_from(const std::string& name) {
  if (name == "v_prediction") return PredictionType::v_prediction;
  return name == "epsilon" ? PredictionType::epsilon : PredictionType::sample;
}

inline NoiseScheduleConfig schedule_config(const nlohmann::json& json) {
  NoiseScheduleConfig config;
  config.beta_start = json["beta_start"];
  config.beta_end = json["beta_end"];
  config.prediction_type = prediction_from(json["prediction_type"]);
  config.rescale_betas_zero_snr = json["rescale_betas_zero_snr"];
  config.set_alpha_to_one = json["set_alpha_to_one"];
  config.timestep_spacing = spacing_from(json["timestep_spacing"]);
  config.snr_shift_scale = json["snr_shift_scale"];
  return config;
}

}  // namespace bitreel
