#include "app/render.h"

#include <fmt/format.h>

#include <functional>
#include <numeric>
#include <random>
#include <utility>

#include "app/assets.h"
#include "app/models.h"
#include "attention/attention.h"
#include "base/error.h"
#include "pipelines/model/device.h"
#include "pipelines/video/output.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

void check_latents_path(const fs::path& path) {
  if (path.empty()) return;
  if (path.extension() != ".safetensors") {
    throw UsageError(fmt::format("--save-latents {} has the extension \"{}\", expected .safetensors", path.string(),
                                 path.extension().string()));
  }
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (fs::is_directory(path)) throw Error(fmt::format("--save-latents {} is a folder, expected a file", path.string()));
  if (!fs::is_directory(folder)) {
    throw Error(fmt::format("--save-latents {}: there is no folder {}", path.string(), folder.string()),
                fmt::format("mkdir -p {}", folder.string()));
  }
}

// What a clip takes while it is made: its file, and its unfinished denoising twice, as a new one replaces the old.
std::uintmax_t bytes_on_disk(const Render& render) {
  std::int64_t latents = 0;
  for (const auto& [name, shape] : render.model->latent_shapes(render.request)) {
    latents += std::accumulate(shape.begin(), shape.end(), std::int64_t{sizeof(float)}, std::multiplies<>());
  }
  constexpr std::int64_t copies = 4;  // latents and the scheduler's memory, twice
  return static_cast<std::uintmax_t>(copies * latents) +
         expected_bytes(render.options.output, render.video, static_cast<int>(render.request.width),
                        static_cast<int>(render.request.height), render.request.num_frames);
}

}  // namespace

fs::path model_folder(const GenerateOptions& options) {
  return fs::absolute(options.model.empty() ? asset("assets/pocket") : options.model);
}

std::shared_ptr<Pipeline> open_model(const GenerateOptions& options) {
  return open_pipeline(Checkpoint::open(model_folder(options)),
                       {.dtype = options.dtype,
                        .device = resolve_device(options.device),
                        .attention_backend = backends_from(options.attention_backend).full,
                        .elementwise = options.elementwise,
                        .vae_tiling = options.vae_tiling});
}

void refuse_without_meaning(const GenerateOptions& options, const std::vector<std::string>& names,
                            const std::string& model) {
  const GenerateOptions untouched;
  for (const std::string& name : names) {
    const Setting& meant = setting(name);
    if (meant.get(options) != meant.get(untouched))
      throw UsageError(fmt::format("--{} means nothing to a {}", name, model), "leave it out");
  }
}

Render resolve(GenerateOptions options, std::shared_ptr<Pipeline> model) {
  refuse_without_meaning(options, model->traits().not_settings, model->checkpoint().pipeline_class());
  Render render;
  Request& request = render.request = model->default_request();
  request.prompt = options.prompt.value_or("");
  request.negative_prompt = options.negative_prompt;
  request.width = options.width.value_or(request.width);
  request.height = options.height.value_or(request.height);
  request.num_frames = options.num_frames.value_or(request.num_frames);
  request.steps = options.steps.value_or(request.steps);
  request.guidance_scale = options.guidance_scale.value_or(request.guidance_scale);
  request.dynamic_cfg = options.dynamic_cfg;
  request.scheduler = options.scheduler.value_or(request.scheduler);
  request.seed = options.seed ? *options.seed : std::random_device{}();
  model->check(request);
  if (options.guard_bound && !options.guard) {
    throw UsageError("--guard-bound has nothing to bound without --guard", "--guard checks every fifth step");
  }
  render.warnings = model->remarks(request);

  if (options.output.empty()) options.output = fmt::format("bitreel-{}.mp4", request.seed);
  render.video.fps = options.fps.value_or(model->traits().fps);
  render.video.codec = options.codec;
  if (options.crf) render.video.crf = static_cast<int>(*options.crf);

  const bool on_gpu = model->options().device.is_cuda();
  if (options.device == DeviceChoice::automatic && !on_gpu) render.device_note = cuda_obstacle();
  options.prompt = request.prompt;
  options.model = model->checkpoint().folder();
  options.width = request.width;
  options.height = request.height;
  options.num_frames = request.num_frames;
  options.fps = render.video.fps;
  options.steps = request.steps;
  options.guidance_scale = request.guidance_scale;
  options.scheduler = request.scheduler;
  options.seed = request.seed;
  options.dtype = model->dtype();
  options.device = on_gpu ? DeviceChoice::cuda : DeviceChoice::cpu;
  render.options = std::move(options);
  render.model = std::move(model);
  return render;
}

Render resolve_to_video(GenerateOptions options, std::shared_ptr<Pipeline> model) {
  Render render = resolve(std::move(options), std::move(model));
  for (std::string& event :
       check_output(render.options.output, render.video, render.options.no_metadata ? Sidecar::none : Sidecar::written,
                    static_cast<int>(render.request.width), static_cast<int>(render.request.height))) {
    render.warnings.push_back(std::move(event));
  }
  check_space(render.options.output, bytes_on_disk(render));
  check_latents_path(render.options.save_latents);
  return render;
}

Render resolve_to_video(const GenerateOptions& options) {
  return resolve_to_video(options, open_model(options));
}

}  // namespace bitreel
