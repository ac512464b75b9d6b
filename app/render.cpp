#include "app/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <set>
#include <utility>

#include "app/assets.h"
#include "app/models.h"
#include "attention/attention.h"
#include "base/error.h"
#include "pipelines/image/picture.h"
#include "pipelines/model/device.h"
#include "pipelines/video/codecs.h"
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

// What a run takes while it is made: its files, and its unfinished denoising twice, as a new one replaces the old.
std::uintmax_t bytes_on_disk(const Render& render) {
  std::int64_t latents = 0;
  for (const auto& [name, shape] : render.model->latent_shapes(render.request)) {
    latents += std::accumulate(shape.begin(), shape.end(), std::int64_t{sizeof(float)}, std::multiplies<>());
  }
  constexpr std::int64_t copies = 4;  // latents and the scheduler's memory, twice
  const Request& request = render.request;
  const std::uintmax_t picture = static_cast<std::uintmax_t>(3 * request.width * request.height);
  const std::uintmax_t results = render.files.video.empty()
                                     ? picture * render.files.pictures.size()
                                     : expected_bytes(render.files.video, render.video, static_cast<int>(request.width),
                                                      static_cast<int>(request.height), request.num_frames);
  return static_cast<std::uintmax_t>(copies * latents) + results;
}

// How many samples are asked for; pairs of picture and text when the mode makes both.
std::int64_t count_of(const GenerateOptions& options, const Mode& mode) {
  const auto refuse = [&](const char* flag, const char* medium) {
    throw UsageError(fmt::format("--{} means nothing to mode {}, which makes no {}", flag, mode.name, medium),
                     "leave it out");
  };
  if (options.num_images && !mode.makes.contains(Medium::image)) refuse("num-images", "picture");
  if (options.num_prompts && !mode.makes.contains(Medium::text)) refuse("num-prompts", "text");
  if (options.num_images && options.num_prompts && *options.num_images != *options.num_prompts) {
    throw UsageError(fmt::format("--num-images {} and --num-prompts {}: mode {} makes pairs, as many of both",
                                 *options.num_images, *options.num_prompts, mode.name),
                     "give one of them");
  }
  return options.num_images.value_or(options.num_prompts.value_or(1));
}

std::set<Medium> inputs_in(const GenerateOptions& options) {
  std::set<Medium> given;
  if (options.prompt) given.insert(Medium::text);
  if (!options.image.empty()) given.insert(Medium::image);
  return given;
}

void check_scheduler(const Request& request, const Pipeline& model) {
  const std::vector<SchedulerKind>& known = model.traits().schedulers;
  if (std::ranges::find(known, request.scheduler) != known.end()) return;
  std::string names;
  for (const SchedulerKind kind : known) names += fmt::format("{}{}", names.empty() ? "" : " or ", name_of(kind));
  throw UsageError(fmt::format("--scheduler {}: a {} runs with {}", name_of(request.scheduler),
                               model.checkpoint().pipeline_class(), names),
                   "leave it out");
}

}  // namespace

fs::path model_folder(const GenerateOptions& options) {
  return fs::absolute(options.model.empty() ? asset("assets/pocket") : options.model);
}

RunOptions run_options(const GenerateOptions& options) {
  const at::Device device = resolve_device(options.device);
  if (options.gpu_memory_limit) limit_gpu_memory(device, *options.gpu_memory_limit * 1024 * 1024 * 1024);
  if (options.weights != WeightStorage::full && options.linear != LinearPrecision::full) {
    throw UsageError(
        fmt::format("--linear {} stores weights in 8 bits already, and --weights {} means nothing beside it",
                    name_of(options.linear), name_of(options.weights)),
        "leave one of them out");
  }
  return {.dtype = options.dtype,
          .device = device,
          .attention_backend = backends_from(options.attention_backend).full,
          .elementwise = options.elementwise,
          .linear = {options.linear, options.linear_path, options.weights},
          .graphs = options.cuda_graph ? CudaGraphs::recorded : CudaGraphs::off,
          .vae_tiling = options.vae_tiling,
          .vae_layout = options.vae_layout.value_or(default_vae_layout(device, options.elementwise)),
          .offload = device.is_cpu() ? Offload::none : options.offload};
}

std::shared_ptr<Pipeline> open_model(const GenerateOptions& options) {
  return open_pipeline(Checkpoint::open(model_folder(options)), run_options(options));
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

Render resolve(GenerateOptions options, std::shared_ptr<Pipeline> model, Inputs inputs) {
  refuse_without_meaning(options, model->traits().not_settings, model->checkpoint().pipeline_class());
  Render render;
  render.mode_is_inferred = options.mode.empty();
  const std::vector<Mode>& modes = model->traits().modes;
  render.mode =
      inputs == Inputs::needed ? choose_mode(modes, options.mode, inputs_in(options)) : mode_named(modes, options.mode);
  const Mode& mode = render.mode;
  const bool makes_video = mode.makes.contains(Medium::video);
  Request& request = render.request = model->default_request();
  request.mode = mode.name;
  request.prompt = options.prompt.value_or("");
  request.negative_prompt = options.negative_prompt;
  if (mode.takes == Medium::image && inputs == Inputs::needed) request.picture = read_picture(options.image);
  request.count = count_of(options, mode);
  request.width = options.width.value_or(request.width);
  request.height = options.height.value_or(request.height);
  request.num_frames = options.num_frames.value_or(request.num_frames);
  request.steps = options.steps.value_or(request.steps);
  request.guidance_scale = options.guidance_scale.value_or(request.guidance_scale);
  request.dynamic_cfg = options.dynamic_cfg;
  request.scheduler = options.scheduler.value_or(request.scheduler);
  request.seed = options.seed ? *options.seed : std::random_device{}();
  check_scheduler(request, *model);
  model->check(request);
  if (options.guard_bound && !options.guard) {
    throw UsageError("--guard-bound has nothing to bound without --guard", "--guard checks every fifth step");
  }
  render.warnings = model->remarks(request);

  for (const char* name : {"offload", "gpu-memory-limit"}) {
    const bool is_asked = setting(name).get(options) != setting(name).get(GenerateOptions{});
    if (is_asked && model->options().device.is_cpu())
      render.warnings.push_back(fmt::format("--{} changes nothing on a CPU, whose memory is the host's", name));
  }

  options.output = output_for(options.output, mode, request.seed);
  render.files = output_files(options.output, mode, request.count);
  render.video.codec = options.codec;
  if (options.crf) render.video.crf = static_cast<int>(*options.crf);

  const bool on_gpu = model->options().device.is_cuda();
  if (options.device == DeviceChoice::automatic && !on_gpu) render.device_note = cuda_obstacle();
  options.mode = request.mode;
  if (mode.takes == Medium::text) options.prompt = request.prompt;
  if (!options.image.empty()) options.image = fs::absolute(options.image);
  options.model = model->checkpoint().folder();
  if (mode.makes != std::set{Medium::text}) {
    options.width = request.width;
    options.height = request.height;
  }
  if (mode.makes.contains(Medium::image)) {
    options.num_images = request.count;
  } else if (mode.makes.contains(Medium::text)) {
    options.num_prompts = request.count;
  }
  if (makes_video) {
    render.video.fps = options.fps.value_or(model->traits().fps);
    options.num_frames = request.num_frames;
    options.fps = render.video.fps;
    options.vae_layout = model->options().vae_layout;
  }
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

Render resolve_to_video(GenerateOptions options, std::shared_ptr<Pipeline> model, Inputs inputs) {
  Render render = resolve(std::move(options), std::move(model), inputs);
  const Sidecar sidecar = render.options.no_metadata ? Sidecar::none : Sidecar::written;
  if (render.files.video.empty()) {
    for (const fs::path& file : render.files.all()) check_still_output(file, Sidecar::none);
    check_still_output(render.files.name, sidecar);
  } else {
    for (std::string& event :
         check_output(render.files.video, render.video, sidecar, static_cast<int>(render.request.width),
                      static_cast<int>(render.request.height))) {
      render.warnings.push_back(std::move(event));
    }
    const Codec& codec = choose_codec(render.files.video, render.options.codec);
    render.options.codec = codec.name;
    if (codec.crf && !render.options.crf) render.options.crf = codec.crf->standard;
  }
  check_space(render.options.output, bytes_on_disk(render));
  check_latents_path(render.options.save_latents);
  return render;
}

Render resolve_to_video(const GenerateOptions& options) {
  return resolve_to_video(options, open_model(options));
}

}  // namespace bitreel
