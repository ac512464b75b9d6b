#include "app/render.h"

#include <fmt/format.h>

#include <map>
#include <random>

#include "base/error.h"
#include "pipelines/model/device.h"
#include "pipelines/text/tokenizer.h"
#include "pipelines/video/output.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// CogVideoX 1.5 was trained at 16 frames a second, 1.0 (no temporal patches) at 8.
double trained_fps(const CogVideoXConfig& config) {
  return config.transformer.patch_size_t ? 16 : 8;
}

// fp16 is slow on CPUs, which convert it to fp32 and back; bf16 has hardware support and the wider range.
at::ScalarType default_dtype(at::ScalarType stored, at::Device device) {
  return stored == at::kHalf && device.is_cpu() ? at::kBFloat16 : stored;
}

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
  const Request& request = render.request;
  const Geometry geometry = geometry_of(request, render.config);
  const std::int64_t latents = geometry.latent_frames * render.config.vae.latent_channels * geometry.latent_height *
                               geometry.latent_width * static_cast<std::int64_t>(sizeof(float));
  constexpr std::int64_t copies = 4;  // latents and the scheduler's memory, twice
  return static_cast<std::uintmax_t>(copies * latents) +
         expected_bytes(render.options.output, render.video, static_cast<int>(request.width),
                        static_cast<int>(request.height), request.num_frames);
}

// Long prompts are cut where the peer cuts them; unlike there, it is said.
void warn_if_cut(const std::string& prompt, const char* flag, const T5Tokenizer& tokenizer, Render& render) {
  const std::int64_t limit = render.config.transformer.max_text_seq_length;
  const std::int64_t dropped = tokenizer.encode(prompt, limit).dropped;
  if (dropped == 0) return;
  render.warnings.push_back(
      fmt::format("{} is {} tokens longer than the {} that the model reads: its end is ignored", flag, dropped, limit));
}

}  // namespace

fs::path model_folder(const GenerateOptions& options) {
  return fs::absolute(options.model.empty() ? fs::path(BITREEL_SOURCE_DIR) / "assets/pocket" : options.model);
}

at::ScalarType stored_dtype(const Weights& weights) {
  std::map<at::ScalarType, std::size_t> bytes;
  for (const std::string& name : weights.names()) {
    const TensorInfo& info = weights.info(name);
    bytes[info.dtype] += info.end - info.begin;
  }
  const auto most =
      std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? at::kFloat : most->first;
}

Render resolve(GenerateOptions options, const Checkpoint& checkpoint) {
  Render render;
  render.config = read_config(checkpoint);
  Request& request = render.request = default_request(render.config);

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
  check(request, render.config);
  if (options.guard_bound && !options.guard) {
    throw UsageError("--guard-bound has nothing to bound without --guard", "--guard checks every fifth step");
  }
  const T5Tokenizer tokenizer = T5Tokenizer::open(checkpoint.folder() / "tokenizer");
  warn_if_cut(request.prompt, "--prompt", tokenizer, render);
  warn_if_cut(request.negative_prompt, "--negative-prompt", tokenizer, render);

  const at::ScalarType stored = stored_dtype(checkpoint.weights("transformer"));
  render.model.device = resolve_device(options.device);
  render.model.dtype = options.dtype.value_or(default_dtype(stored, render.model.device));
  render.model.attention_backend = options.attention_backend;
  render.model.elementwise = options.elementwise;
  render.model.vae_tiling = options.vae_tiling;
  render.model.vae_slicing = options.vae_slicing;
  if (render.model.dtype == at::kHalf && stored == at::kBFloat16) {
    render.warnings.emplace_back(
        "fp16 with weights stored as bf16: values beyond 65504 overflow; --dtype bf16 keeps their range");
  }

  if (options.output.empty()) options.output = fmt::format("bitreel-{}.mp4", request.seed);
  render.video.fps = options.fps.value_or(trained_fps(render.config));
  render.video.codec = options.codec;
  if (options.crf) render.video.crf = static_cast<int>(*options.crf);

  options.prompt = request.prompt;
  options.model = checkpoint.folder();
  options.width = request.width;
  options.height = request.height;
  options.num_frames = request.num_frames;
  options.fps = render.video.fps;
  options.steps = request.steps;
  options.guidance_scale = request.guidance_scale;
  options.scheduler = request.scheduler;
  options.seed = request.seed;
  options.dtype = render.model.dtype;
  options.device = render.model.device.is_cuda() ? DeviceChoice::cuda : DeviceChoice::cpu;
  render.options = std::move(options);
  return render;
}

Render resolve_to_video(GenerateOptions options, const Checkpoint& checkpoint) {
  Render render = resolve(std::move(options), checkpoint);
  for (std::string& event :
       check_output(render.options.output, render.video, render.options.no_metadata ? Sidecar::none : Sidecar::written,
                    static_cast<int>(render.request.width), static_cast<int>(render.request.height))) {
    render.warnings.push_back(std::move(event));
  }
  check_space(render.options.output, bytes_on_disk(render));
  check_latents_path(render.options.save_latents);
  return render;
}

}  // namespace bitreel
