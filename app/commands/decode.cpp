#include "app/commands/decode.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "app/clip.h"
#include "app/clip_file.h"
#include "app/commands/generate.h"
#include "app/console.h"
#include "app/files/latents_file.h"
#include "app/files/model_identity.h"
#include "app/flags.h"
#include "app/forecast.h"
#include "app/front_door.h"
#include "app/interrupt.h"
#include "app/peak_memory.h"
#include "app/render.h"
#include "base/error.h"
#include "pipelines/checkpoint/finite.h"
#include "pipelines/model/machine_memory.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// What decoding still depends on; everything else was settled when the latents were made.
const std::set<std::string> flags_of_decode = {"model",      "dtype",       "device",          "fps",
                                               "vae-tiling", "vae-layout",  "output",          "codec",
                                               "crf",        "no-metadata", "gpu-memory-limit"};

// What an unfinished denoising does not depend on.
const std::set<std::string> flags_of_resume = {"model",       "device",     "attention-backend", "elementwise",
                                               "linear-path", "cuda-graph", "offload",           "gpu-memory-limit",
                                               "fps",         "vae-tiling", "vae-layout",        "output",
                                               "codec",       "crf",        "save-latents",      "no-metadata"};

struct DecodeCommand {
  std::unique_ptr<Flags> flags;
  fs::path file;
  ProgressStyle progress = ProgressStyle::automatic;
  StartOptions start;
};

// What nobody knows of latents that another program made, or resolve() would have us claim its defaults.
std::vector<std::string> settings_of_denoising() {
  std::vector<std::string> keys;
  static const std::set<std::string> from_latents = {"width", "height", "num-frames", "num-images", "num-prompts"};
  for (const Setting& setting : settings()) {
    if (!from_latents.contains(setting.name) && !flags_of_decode.contains(setting.name)) keys.push_back(setting.key());
  }
  return keys;
}

// Mode, size, length and count follow from the latents when their file doesn't say them.
void fill_from_latents(GenerateOptions& options, const LatentsFile& file, const Pipeline& model) {
  const Request request = model.request_of(file.latents);
  if (options.mode.empty()) options.mode = request.mode;
  const Mode& mode = mode_named(model.traits().modes, options.mode);
  if (!options.height) options.height = request.height;
  if (!options.width) options.width = request.width;
  if (mode.makes.contains(Medium::video)) {
    if (!options.num_frames) options.num_frames = request.num_frames;
  } else if (!options.num_images && !options.num_prompts) {
    (mode.makes.contains(Medium::image) ? options.num_images : options.num_prompts) = request.count;
  }
}

void expect_shapes(const LatentsFile& file, const Render& render) {
  for (const auto& [name, shape] : render.model->latent_shapes(render.request)) {
    const auto found = file.latents.find(name);
    if (found == file.latents.end()) {
      throw Error(fmt::format("{}: holds no tensor {}, which {} decodes in mode {}", file.path.string(), name,
                              render.options.model.string(), render.mode.name));
    }
    const at::Tensor& latents = found->second;
    if (latents.sizes() == at::IntArrayRef(shape)) continue;
    throw Error(fmt::format("{}: {} is [{}], {} decodes [{}]", file.path.string(), name,
                            fmt::join(latents.sizes(), ", "), render.options.model.string(), fmt::join(shape, ", ")),
                "give --model the checkpoint that made these latents");
  }
}

// Whether a weight file, by its name in records, is one that decoding loads.
bool is_decoders(const Pipeline& model, const std::string& name) {
  return std::ranges::any_of(model.traits().components, [&](const Component& component) {
    return component.weights.contains(Phase::decode) && name.starts_with(component.name + "/");
  });
}

// Files are passed on and may say anything: where they say that something was written is not a place to write to.
fs::path moved_beside(const fs::path& file, const fs::path& recorded) {
  return recorded.empty() ? recorded : file.parent_path() / recorded.filename();
}

// "in/clip.latents.safetensors", made for any.webm -> "in/clip.webm"; for frames/ -> "in/clip/"; for nobody knows what
// -> "in/clip", whose extension follows from what is made.
fs::path output_beside(const fs::path& file, const fs::path& recorded) {
  fs::path name = file.filename().replace_extension();
  if (name.extension() == ".latents" || name.extension() == ".unfinished") name.replace_extension();
  if (recorded.empty()) return file.parent_path() / name;
  return file.parent_path() / (recorded.has_filename() ? name += recorded.extension() : name / "");
}

// As the latents were made, and what the flags say; written beside the file.
GenerateOptions options_of(const LatentsFile& file, const DecodeCommand& command) {
  GenerateOptions options;
  if (!file.config.is_null()) apply_json(options, file.config, command.file.string());
  const fs::path recorded_output = options.output = output_beside(command.file, options.output);
  const std::string recorded_codec = options.codec;
  options.save_latents = moved_beside(command.file, options.save_latents);
  command.flags->apply(options);
  // Another kind of file: its own codec again. Another codec: its own crf.
  const bool other_kind = options.output.extension() != recorded_output.extension();
  if (other_kind) options.codec.clear();
  if (other_kind || options.codec != recorded_codec) {
    options.crf.reset();
    command.flags->apply(options);
  }
  return options;
}

void decode(const DecodeCommand& command) {
  const LatentsFile file = read_latents(command.file);
  GenerateOptions options = options_of(file, command);
  options.save_latents.clear();
  const std::shared_ptr<Pipeline> model = open_model(options);
  fill_from_latents(options, file, *model);
  if (options.output == output_beside(command.file, {}))
    options.output += default_extension(mode_named(model->traits().modes, options.mode));
  Render render = resolve_to_video(options, model, Inputs::settled);
  if (file.config.is_null()) render.unknown = settings_of_denoising();
  if (file.unfinished) {
    render.warnings.push_back(fmt::format("these latents are those after step {} of {}: the clip is unfinished",
                                          file.unfinished->steps_done, file.steps));
  }
  expect_shapes(file, render);
  if (const std::string warning = check_memory(render, {Phase::decode}, machine_memory(model->options().device));
      !warning.empty())
    render.warnings.push_back(warning);
  for (const auto& [name, latents] : file.latents) {
    if (!all_finite(latents.contiguous())) {
      throw Error(fmt::format("{}: {} hold infinity or values that are not numbers", command.file.string(), name));
    }
  }

  need_whole_program();
  watch_interrupts();
  const ModelIdentity identity = identify(*model);
  warn_of_other_decoder(render.warnings, *model, identity, file.model, command.file.string());
  Console console(command.progress);
  console.remember(file.events);
  for (const std::string& warning : render.warnings) console.warn(warning);
  const PeakMemory peak(model->options().device);
  ClipRecord record = record_of(render, identity);
  // What denoised them is not what is here now.
  record.attention = file.attention;
  if (!file.run.is_null()) record.run = {{"denoised", file.run}, {"decoded", record.run}};
  for (const auto& [name, weights] : file.model.items()) {
    if (!is_decoders(*model, name)) record.model[name] = weights;
  }
  ClipFile video(render, record, console);
  model->decode(render.request, file.latents, video.sink());
  record.seconds = console.seconds();
  record.peak_host_bytes = PeakMemory::host_bytes();
  record.peak_device_bytes = peak.device_bytes();
  record.events = console.warnings();
  video.finish(record);
}

void resume(const DecodeCommand& command) {
  const LatentsFile file = read_latents(command.file);
  if (!file.unfinished) {
    throw UsageError(fmt::format("{} holds no unfinished denoising", command.file.string()),
                     fmt::format("bitreel decode {}", command.file.string()));
  }
  Console console(command.progress);
  generate(options_of(file, command), console, file, command.start);
}

}  // namespace

void add_decode(CLI::App& app) {
  CLI::App* command = app.add_subcommand("decode", "Saved latents, one video");
  auto state = std::make_shared<DecodeCommand>();
  command->add_option("file", state->file, "A .safetensors file that --save-latents or an interrupted run left")
      ->required()
      ->type_name("FILE");
  state->flags =
      std::make_unique<Flags>(*command, [](const Setting& setting) { return flags_of_decode.contains(setting.name); });
  add_progress_flag(*command, state->progress);
  command->callback([state] { decode(*state); });
}

void add_resume(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("resume", "Goes on with a clip whose denoising was interrupted, by a crash too");
  auto state = std::make_shared<DecodeCommand>();
  command->add_option("file", state->file, "The .unfinished.safetensors that generate left beside its output")
      ->required()
      ->type_name("FILE");
  state->flags =
      std::make_unique<Flags>(*command, [](const Setting& setting) { return flags_of_resume.contains(setting.name); });
  add_progress_flag(*command, state->progress);
  command->add_flag("--force", state->start.force, "Start with too little memory");
  command->callback([state] { resume(*state); });
}

}  // namespace bitreel
