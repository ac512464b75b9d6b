#include "app/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "app/console.h"
#include "app/pace.h"
#include "attention/attention.h"
#include "base/error.h"

namespace bitreel {
namespace {

std::string counted(std::size_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// The program, LibTorch and its thread pools, with nothing loaded.
constexpr double program_bytes = 190.0 * 1024 * 1024;

// Which mode, where there are several, and what will come of it.
std::string result_text(const Render& render) {
  const Request& request = render.request;
  if (!render.files.video.empty()) {
    return fmt::format("clip     {}x{}, {} frames at {} fps", request.width, request.height, request.num_frames,
                       render.video.fps);
  }
  std::string result = fmt::format("mode     {}{}: ", render.mode.name, render.mode_is_inferred ? " (inferred)" : "");
  if (!render.files.pictures.empty())
    result +=
        fmt::format("{} of {}x{}", counted(render.files.pictures.size(), "picture"), request.width, request.height);
  if (!render.files.texts.empty())
    result +=
        fmt::format("{}{}", render.files.pictures.empty() ? "" : ", ", counted(render.files.texts.size(), "text"));
  return result;
}

double bytes_of(const Cost& cost, Phase phase) {
  switch (phase) {
    case Phase::encode:
      return cost.encode.bytes();
    case Phase::denoise:
      return cost.denoise.bytes();
    case Phase::decode:
      return cost.decode.bytes();
  }
  return 0;
}

}  // namespace

double expected_memory(const Render& render, const std::set<Phase>& phases) {
  const Cost cost = render.model->cost(render.request);
  double peak = 0;
  for (const Phase phase : phases) peak = std::max(peak, bytes_of(cost, phase));
  return render.model->options().device.is_cpu() ? program_bytes + peak : peak;
}

double expected_memory(const Render& render, const Plan& plan) {
  const double most = expected_memory(render, {Phase::denoise});
  const auto norms_heads = [](Precision precision) {
    return precision == Precision::int8 || precision == Precision::int4;
  };
  // A guard may give full precision to any layer.
  if (render.options.guard || !render.options.attention_backend.empty() ||
      !std::ranges::all_of(plan.precisions(), norms_heads) || !norms_heads_on(render.model->options().device.type())) {
    return most;
  }
  return most - render.model->cost(render.request).denoise.normed_heads_bytes;
}

std::string check_memory(const Render& render, const std::set<Phase>& phases, const MachineMemory& memory) {
  const double expected = expected_memory(render, phases);
  if (expected <= memory.available) return {};
  const Request& request = render.request;
  const std::string need = fmt::format("{}x{} with {} frames takes about {} of memory", request.width, request.height,
                                       request.num_frames, bytes_text(expected));
  const bool on_cpu = render.model->options().device.is_cpu();
  const char* machine = on_cpu ? "machine" : "GPU";
  if (expected <= memory.total)
    return fmt::format("{}, of this {}'s {} now {} are free", need, machine, bytes_text(memory.total),
                       bytes_text(memory.available));
  const std::string has = memory.is_limited ? fmt::format("--gpu-memory-limit allows {}", bytes_text(memory.total))
                                            : fmt::format("this {} has {}", machine, bytes_text(memory.total));
  throw Error(
      fmt::format("{}, {}", need, has),
      fmt::format(
          "try {}a smaller size, fewer frames or --vae-tiling; generate and resume begin all the same with --force",
          on_cpu ? "" : "--offload layers, --weights fp8, "));
}

Forecast forecast_of(const Render& render, const Plan& plan, ForecastOptions options) {
  const Request& request = render.request;
  const Pipeline& model = *render.model;
  const Cost cost = model.cost(request);
  const double text = expected_memory(render, {Phase::encode}), denoise = expected_memory(render, plan),
               decode = expected_memory(render, {Phase::decode});
  const double peak = std::max({text, denoise, decode});
  const std::int64_t all_steps = request.steps * cost.rounds;
  const std::int64_t steps_left = all_steps - options.steps_done;
  const std::string steps =
      options.steps_done > 0 ? fmt::format("{} of {}", steps_left, all_steps) : std::to_string(steps_left);
  const char* guidance = request.guidance_scale > 1 ? "with" : "without";
  const std::string folder = model.checkpoint().folder().string();
  Forecast forecast;
  forecast.fields = {{"model", folder},
                     {"config", to_json(render.options)},
                     {"tokens", cost.attention.queries},
                     {"expected_memory_bytes", static_cast<std::uint64_t>(peak)},
                     {"expected_phase_bytes",
                      {{"text", static_cast<std::uint64_t>(text)},
                       {"denoise", static_cast<std::uint64_t>(denoise)},
                       {"decode", static_cast<std::uint64_t>(decode)}}}};
  std::string time = "the time left is shown from the first step on";
  if (model.options().device.is_cpu()) {
    const std::vector<Precision> precisions = plan.precisions();
    const Pace pace = measure_pace(cost, {.dtype = model.dtype(),
                                          .precisions = precisions,
                                          .backends = backends_from(render.options.attention_backend),
                                          .linear = model.options().linear});
    const double seconds = denoise_seconds(cost, pace, plan, options.steps_done);
    time = fmt::format("roughly {} to denoise when nothing else runs; the steps will tell", duration_text(seconds));
    forecast.fields["expected_denoise_seconds"] = seconds;
  }
  forecast.text = fmt::format(
      "model    {}\n"
      "{}, seed {}\n"
      "work     {} steps of {} ({} guidance {}), {}, {} on {}\n"
      "memory   about {} {}at the peak: text {}, denoising {}, decoding {}\n"
      "time     {}\n"
      "attention {}: {}",
      folder, result_text(render), request.seed, steps, name_of(request.scheduler), guidance, request.guidance_scale,
      tokens_text(cost), name_of(model.dtype()), name_of(render.options.device), bytes_text(peak),
      model.options().device.is_cpu() ? "" : "of the GPU's ", bytes_text(text), bytes_text(denoise), bytes_text(decode),
      time, render.options.attention, shares_text(plan));
  forecast.fields["attention"] = {{"requested", render.options.attention}, {"shares", shares_text(plan)}};
  return forecast;
}

}  // namespace bitreel
