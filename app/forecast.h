// What a clip will take, said before the work starts.
//
//   const Forecast forecast = forecast_of(render, plan, {.steps_done = 0});
//   console.say(forecast.text, "plan", forecast.fields);
//
// Memory is the largest of the three phases, which follow each other, as the model states it (cost.h), and the program
// itself. Time is a guess from slices of the work (app/pace.h) and the plan's precisions, on a CPU only.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "app/render.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

struct Forecast {
  std::string text;
  nlohmann::ordered_json fields;
};

struct ForecastOptions {
  std::int64_t steps_done = 0;  // by an earlier run
};

Forecast forecast_of(const Render& render, const Plan& plan, ForecastOptions options);

}  // namespace bitreel
