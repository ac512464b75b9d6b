#include "app/forecast.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "app/console.h"
#include "app/pace.h"

namespace bitreel {
namespace {

// The program, LibTorch and its thread pools, with nothing loaded.
constexpr double program_bytes = 190.0 * 1024 * 1024;

// Tensors of [passes, tokens, inner] that live at once in a block: x, its norm, q, k, v, the attention's output, the
// feed-forward's hidden layer, four times as wide, and on a CPU attention's operands once more in fp32.
constexpr double tensors_in_a_block = 24;

// Tensors of one frame batch at full resolution that live at once in the decoder: a convolution's input with its
// padding, its output, its workspace, the spatial norm's two maps and the shortcut.
constexpr double tensors_in_the_decoder = 10;

// Latent frames that are decoded together: pairs, and the odd one joins the first (pipelines.md A.6).
constexpr std::int64_t latent_frames_in_a_batch = 3;

// On a CPU in bf16 the transformer's matrices are packed for oneDNN: a copy beside the mapped file.
double weight_copies(const ModelOptions& model) {
  return model.device.is_cpu() && model.dtype == at::kBFloat16 ? 2 : 1;
}

// The last level's blocks run at full resolution and begin with the width of the level before.
double widest_channels(const VaeConfig& vae) {
  return static_cast<double>(vae.block_out_channels[vae.block_out_channels.size() > 1 ? 1 : 0]);
}

double parameter_count(const Weights& weights) {
  double count = 0;
  for (const std::string& name : weights.names()) {
    const auto& shape = weights.info(name).shape;
    double numel = 1;
    for (const std::int64_t size : shape) numel *= static_cast<double>(size);
    count += numel;
  }
  return count;
}

}  // namespace

PhaseBytes phase_bytes(const Render& render, const Checkpoint& checkpoint) {
  const Geometry geometry = geometry_of(render.request, render.config);
  const double width_of_value = static_cast<double>(at::elementSize(render.model.dtype));
  const double passes = render.request.guidance_scale > 1 ? 2 : 1;
  const double tokens = static_cast<double>(geometry.text_tokens + geometry.video_tokens);
  const VaeConfig& vae = render.config.vae;
  double pixels = static_cast<double>(render.request.width) * static_cast<double>(render.request.height);
  if (render.model.vae_tiling) {
    pixels = std::min(pixels, static_cast<double>(vae.sample_height) * static_cast<double>(vae.sample_width) / 4);
  }
  const double frames =
      static_cast<double>(std::min(geometry.latent_frames, latent_frames_in_a_batch) * vae.temporal_compression_ratio);
  PhaseBytes bytes;
  bytes.text = parameter_count(checkpoint.weights("text_encoder")) * width_of_value;
  bytes.denoise = width_of_value *
                  (weight_copies(render.model) * parameter_count(checkpoint.weights("transformer")) +
                   passes * tokens * tensors_in_a_block * static_cast<double>(render.config.transformer.inner_dim()));
  bytes.decode = width_of_value * (parameter_count(checkpoint.weights("vae")) +
                                   frames * pixels * widest_channels(vae) * tensors_in_the_decoder);
  return bytes;
}

Forecast forecast_of(const Render& render, const Checkpoint& checkpoint, ForecastOptions options) {
  const Request& request = render.request;
  const Geometry geometry = geometry_of(request, render.config);
  const PhaseBytes phases = phase_bytes(render, checkpoint);
  const double peak = program_bytes + std::max({phases.text, phases.denoise, phases.decode});
  const std::int64_t tokens = geometry.text_tokens + geometry.video_tokens;
  const std::int64_t steps_left = request.steps - options.steps_done;
  const std::string steps =
      options.steps_done > 0 ? fmt::format("{} of {}", steps_left, request.steps) : std::to_string(steps_left);
  const char* guidance = request.guidance_scale > 1 ? "with" : "without";
  Forecast forecast;
  forecast.fields = {{"model", checkpoint.folder().string()},
                     {"config", to_json(render.options)},
                     {"tokens", tokens},
                     {"expected_memory_bytes", static_cast<std::uint64_t>(peak)}};
  std::string time = "the time left is shown from the first step on";
  if (render.model.device.is_cpu()) {
    const double seconds = seconds_per_step(render) * static_cast<double>(steps_left);
    time = fmt::format("roughly {} to denoise when nothing else runs; the steps will tell", duration_text(seconds));
    forecast.fields["expected_denoise_seconds"] = seconds;
  }
  forecast.text = fmt::format(
      "model    {}\n"
      "clip     {}x{}, {} frames at {} fps, seed {}\n"
      "work     {} steps of {} ({} guidance {}), {} text + {} video tokens, {} on {}\n"
      "memory   about {} at the peak\n"
      "time     {}",
      checkpoint.folder().string(), request.width, request.height, request.num_frames, render.video.fps, request.seed,
      steps, name_of(request.scheduler), guidance, request.guidance_scale, geometry.text_tokens, geometry.video_tokens,
      name_of(render.model.dtype), name_of(render.options.device), bytes_text(peak), time);
  return forecast;
}

}  // namespace bitreel
