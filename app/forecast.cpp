#include "app/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "app/console.h"
#include "app/pace.h"

namespace bitreel {
namespace {

// The program, LibTorch and its thread pools, with nothing loaded.
constexpr double program_bytes = 190.0 * 1024 * 1024;

}  // namespace

Forecast forecast_of(const Render& render, const Plan& plan, ForecastOptions options) {
  const Request& request = render.request;
  const Pipeline& model = *render.model;
  const Cost cost = model.cost(request);
  const double peak = program_bytes + std::max({cost.encode.bytes(), cost.denoise.bytes(), cost.decode.bytes()});
  const std::int64_t steps_left = request.steps - options.steps_done;
  const std::string steps =
      options.steps_done > 0 ? fmt::format("{} of {}", steps_left, request.steps) : std::to_string(steps_left);
  const char* guidance = request.guidance_scale > 1 ? "with" : "without";
  const std::string folder = model.checkpoint().folder().string();
  Forecast forecast;
  forecast.fields = {{"model", folder},
                     {"config", to_json(render.options)},
                     {"tokens", cost.attention.queries},
                     {"expected_memory_bytes", static_cast<std::uint64_t>(peak)}};
  std::string time = "the time left is shown from the first step on";
  if (model.options().device.is_cpu()) {
    const std::vector<Precision> precisions = plan.precisions();
    const Pace pace = measure_pace(cost, {.dtype = model.dtype(),
                                          .precisions = precisions,
                                          .backends = backends_from(render.options.attention_backend)});
    const double seconds = denoise_seconds(cost, pace, plan, options.steps_done);
    time = fmt::format("roughly {} to denoise when nothing else runs; the steps will tell", duration_text(seconds));
    forecast.fields["expected_denoise_seconds"] = seconds;
  }
  forecast.text = fmt::format(
      "model    {}\n"
      "clip     {}x{}, {} frames at {} fps, seed {}\n"
      "work     {} steps of {} ({} guidance {}), {}, {} on {}\n"
      "memory   about {} at the peak\n"
      "time     {}\n"
      "attention {}: {}",
      folder, request.width, request.height, request.num_frames, render.video.fps, request.seed, steps,
      name_of(request.scheduler), guidance, request.guidance_scale, tokens_text(cost), name_of(model.dtype()),
      name_of(render.options.device), bytes_text(peak), time, render.options.attention, shares_text(plan));
  forecast.fields["attention"] = {{"requested", render.options.attention}, {"shares", shares_text(plan)}};
  return forecast;
}

}  // namespace bitreel
