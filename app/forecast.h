// What a clip will take, said before the work starts.
//
//   const Forecast forecast = forecast_of(render, checkpoint, {.steps_done = 0});
//   console.say(forecast.text, "plan", forecast.fields);
//
// Memory is the largest of the three phases, which follow each other: weights in the run's dtype plus the largest
// tensors that live at once (counts beside the constants in forecast.cpp, checked against the measured peak). Time is a
// guess from slices of the work (app/pace.h), on a CPU only.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "app/render.h"

namespace bitreel {

struct Forecast {
  std::string text;
  nlohmann::ordered_json fields;
};

struct ForecastOptions {
  std::int64_t steps_done = 0;  // by an earlier run
};

Forecast forecast_of(const Render& render, const Checkpoint& checkpoint, ForecastOptions options);

// Bytes at the peak of each phase, without the program itself.
struct PhaseBytes {
  double text = 0;
  double denoise = 0;
  double decode = 0;
};

PhaseBytes phase_bytes(const Render& render, const Checkpoint& checkpoint);

}  // namespace bitreel
