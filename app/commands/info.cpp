#include "app/commands/info.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <set>

#include "app/console.h"
#include "app/options.h"
#include "attention/attention.h"
#include "base/error.h"
#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/checkpoint/safetensors.h"
#include "pipelines/cogvideox/request.h"
#include "pipelines/video/output.h"
#include "pipelines/video/reader.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

std::string dtype_text(at::ScalarType dtype) {
  const std::string_view known = name_of(dtype);
  return known == "unknown" ? at::toString(dtype) : std::string(known);
}

// One component's line: its class, and what its weight files hold.
std::string component_line(const Checkpoint& checkpoint, const std::string& name) {
  std::string line = fmt::format("  {:<13} {:<28}", name, checkpoint.component_class(name));
  if (name == "tokenizer" || name == "scheduler") return line + "\n";
  const Weights weights = checkpoint.weights(name);
  std::int64_t parameters = 0;
  std::size_t bytes = 0;
  std::set<std::string> dtypes;
  for (const std::string& tensor : weights.names()) {
    const TensorInfo& info = weights.info(tensor);
    bytes += info.end - info.begin;
    parameters += c10::multiply_integers(info.shape);
    dtypes.insert(dtype_text(info.dtype));
  }
  return line + fmt::format(" {} parameters, {}, {}, {} tensors in {} file(s)\n", parameters, fmt::join(dtypes, "+"),
                            bytes_text(static_cast<double>(bytes)), weights.names().size(), weights.files().size());
}

std::string describe_checkpoint(const fs::path& folder) {
  const Checkpoint checkpoint = Checkpoint::open(folder);
  const CogVideoXConfig config = read_config(checkpoint);
  const Request request = default_request(config);
  const Geometry geometry = geometry_of(request, config);
  std::string text = fmt::format("{}\n  {}\n", folder.string(), checkpoint.pipeline_class());
  for (const char* name : {"tokenizer", "text_encoder", "transformer", "vae", "scheduler"}) {
    text += component_line(checkpoint, name);
  }
  return text +
         fmt::format(
             "  default clip  {}x{}, {} frames, {} steps of {}, guidance {}\n"
             "  its size      latents {} x {} x {} x {} (frames, channels, height, width), {} text + {} video tokens\n"
             "  transformer   {} layers, {} heads of {}\n",
             request.width, request.height, request.num_frames, request.steps, name_of(request.scheduler),
             request.guidance_scale, geometry.latent_frames, config.vae.latent_channels, geometry.latent_height,
             geometry.latent_width, geometry.text_tokens, geometry.video_tokens, config.transformer.num_layers,
             config.transformer.num_attention_heads, config.transformer.attention_head_dim);
}

// JSON is indented, anything else stays as it is.
std::string readable(const std::string& text) {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? text : json.dump(2);
}

std::string describe_safetensors(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::string text = path.string() + "\n";
  for (const auto& [name, info] : file.tensors()) {
    text += fmt::format("  {} {} [{}]\n", name, dtype_text(info.dtype), fmt::join(info.shape, ", "));
  }
  for (const auto& [key, value] : file.metadata()) text += fmt::format("  {}: {}\n", key, readable(value));
  return text;
}

std::string describe_video(const fs::path& path) {
  const VideoInfo info = inspect_video(path);
  std::string text = fmt::format("{}\n  {} in {}, {}, {}x{}", path.string(), info.codec, info.container,
                                 info.pixel_format, info.width, info.height);
  if (info.frames) text += fmt::format(", {} frames", *info.frames);
  if (info.fps > 0) text += fmt::format(" at {} fps", info.fps);
  text += fmt::format("\n  colours: primaries {}, transfer {}, matrix {}, range {}\n", info.colour_primaries,
                      info.colour_transfer, info.colour_space, info.colour_range);
  return text +
         (info.comment.empty() ? "  no provenance\n" : fmt::format("  provenance: {}\n", readable(info.comment)));
}

// The backend that would run a precision on this machine's device, or that there is none.
std::string who_attends(Precision precision, c10::DeviceType type, const at::Device& here) {
  if (type != c10::kCPU && type != here.type()) return "no such device";
  AttendCall call;
  call.q = call.k = call.v = call.out =
      at::empty({1, 1, 64, 64}, at::TensorOptions(at::kBFloat16).device(type == here.type() ? here : at::kCPU));
  if (precision != Precision::full) call.recipe = recipe_of(precision, type);
  return std::string(choose_backend(call).backend.name);
}

std::string describe_attention() {
  const at::Device here = resolve_device(DeviceChoice::automatic);
  std::string text =
      "attention backends (--attention-backend, BITREEL_ATTENTION_BACKEND); of those that can do a call, kernels go "
      "before oracles:\n";
  for (const Backend& backend : backends()) {
    text += fmt::format("  {:<16} {:<9} {:<6}  {}\n", backend.name,
                        backend.arithmetic == Arithmetic::full ? "full" : "quantized",
                        backend.role == Role::kernel ? "kernel" : "oracle", backend.summary);
    const std::string on_cpu = backend.missing(c10::kCPU), on_gpu = backend.missing(c10::kCUDA);
    if (!on_cpu.empty() && !on_gpu.empty()) text += fmt::format("  {:<16} not on this machine: {}\n", "", on_cpu);
  }
  text += "\nprecisions (--attention): the backend that would run each on this machine, and how the device keeps it:\n";
  for (const Precision precision : all_precisions()) {
    for (const c10::DeviceType type : {c10::kCPU, c10::kCUDA}) {
      text +=
          fmt::format("  {:<9} {:<5} {:<16} {}\n", type == c10::kCPU ? name_of(precision) : "",
                      c10::DeviceTypeName(type, /*lower_case=*/true), who_attends(precision, type, here),
                      precision == Precision::full ? "the model's own dtype" : summary_of(recipe_of(precision, type)));
    }
  }
  return text;
}

}  // namespace

std::string describe(const fs::path& path) {
  if (path == "attention") return describe_attention();  // a folder of that name is ./attention
  if (fs::exists(path / "model_index.json")) return describe_checkpoint(path);
  if (path.extension() == ".safetensors") return describe_safetensors(path);
  if (fs::exists(path) || path.string().find('%') != std::string::npos) return describe_video(path);
  throw Error(fmt::format("{}: no such file or folder", path.string()),
              "give a checkpoint folder, a video or a .safetensors file");
}

void add_info(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("info", "What a model folder, a video or a latents file holds; attention's backends");
  auto path = std::make_shared<fs::path>();
  command->add_option("path", *path, "A checkpoint folder, a video, a .safetensors file, or the word attention")
      ->required()
      ->type_name("PATH");
  command->callback([path] { std::cout << describe(*path); });
}

}  // namespace bitreel
