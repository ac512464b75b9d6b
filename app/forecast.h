// What a clip will take, said before the work starts.
//
//   const std::set<Phase> all = {Phase::encode, Phase::denoise, Phase::decode};
//   const std::string warning = check_memory(render, all, machine_memory(render.model->options().device));
//   const Forecast forecast = forecast_of(render, plan, {.steps_done = 0});
//   console.say(forecast.text, "plan", forecast.fields);
//
// Memory is the largest of the three phases, which follow each other, as the model states it (cost.h), and on a CPU the
// program itself. Time is a guess from slices of the work (app/pace.h) and the plan's precisions, on a CPU only.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "app/render.h"
#include "pipelines/model/machine_memory.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

struct Forecast {
  std::string text;
  nlohmann::ordered_json fields;
};

struct ForecastOptions {
  std::int64_t steps_done = 0;  // by an earlier run
};

// The most that these phases hold at once: on a CPU with the program itself, on a GPU what lies there.
double expected_memory(const Render& render, const std::set<Phase>& phases);

// Of denoising alone, and by a plan: where all of its attention norms heads on its way, these are not there.
double expected_memory(const Render& render, const Plan& plan);

// Error when that is more than there is: the run would swap for hours or be killed. Returns a warning when it is more
// than other programs leave, else nothing.
std::string check_memory(const Render& render, const std::set<Phase>& phases, const MachineMemory& memory);

Forecast forecast_of(const Render& render, const Plan& plan, ForecastOptions options);

}  // namespace bitreel
