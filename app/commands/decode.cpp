#include "app/commands/decode.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "app/commands/generate.h"
#include "app/console.h"
#include "app/files/latents_file.h"
#include "app/flags.h"
#include "app/interrupt.h"
#include "app/render.h"
#include "app/video_output.h"
#include "base/error.h"
#include "pipelines/checkpoint/finite.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// What decoding still depends on; everything else was settled when the latents were made.
const std::set<std::string> flags_of_decode = {"model",       "dtype",  "device", "fps", "vae-tiling",
                                               "vae-slicing", "output", "codec",  "crf", "no-metadata"};

// What an unfinished denoising does not depend on.
const std::set<std::string> flags_of_resume = {"model", "device",     "attention-backend", "elementwise",
                                               "fps",   "vae-tiling", "vae-slicing",       "output",
                                               "codec", "crf",        "save-latents",      "no-metadata"};

struct DecodeCommand {
  std::unique_ptr<Flags> flags;
  fs::path file;
  ProgressStyle progress = ProgressStyle::automatic;
};

// What nobody knows of latents that another program made, or resolve() would have us claim its defaults.
std::vector<std::string> settings_of_denoising() {
  std::vector<std::string> keys;
  for (const Setting& setting : settings()) {
    const bool from_latents = setting.name == "width" || setting.name == "height" || setting.name == "num-frames";
    if (!from_latents && !flags_of_decode.contains(setting.name)) keys.push_back(setting.key());
  }
  return keys;
}

// Size and length follow from the latents when their file doesn't say them.
void fill_from_latents(GenerateOptions& options, const at::Tensor& latents, const Checkpoint& checkpoint) {
  const CogVideoXConfig config = read_config(checkpoint);
  if (!options.height) options.height = latents.size(3) * config.vae.spatial_factor();
  if (!options.width) options.width = latents.size(4) * config.vae.spatial_factor();
  // Clips are 8n+1 frames, an odd number of latent ones; one that makes them even is padding.
  if (!options.num_frames) {
    options.num_frames = (latents.size(1) - 1) / 2 * 2 * config.vae.temporal_compression_ratio + 1;
  }
}

void expect_shape(const at::Tensor& latents, const Render& render, const fs::path& file) {
  const Geometry geometry = geometry_of(render.request, render.config);
  const std::vector<std::int64_t> expected = {1, geometry.latent_frames, render.config.vae.latent_channels,
                                              geometry.latent_height, geometry.latent_width};
  if (latents.sizes() == at::IntArrayRef(expected)) return;
  throw Error(fmt::format("{}: latents is [{}], {} decodes [{}]", file.string(), fmt::join(latents.sizes(), ", "),
                          render.options.model.string(), fmt::join(expected, ", ")),
              "give --model the checkpoint that made these latents");
}

// Files are passed on and may say anything: where they say that something was written is not a place to write to.
fs::path beside(const fs::path& file, const fs::path& recorded) {
  return recorded.empty() ? recorded : file.parent_path() / recorded.filename();
}

// "in/clip.latents.safetensors", made for any.webm -> "in/clip.webm"; for frames/ -> "in/clip/".
fs::path output_beside(const fs::path& file, const fs::path& recorded) {
  fs::path name = file.filename().replace_extension();
  if (name.extension() == ".latents" || name.extension() == ".unfinished") name.replace_extension();
  if (recorded.empty()) return file.parent_path() / (name += ".mp4");
  return file.parent_path() / (recorded.has_filename() ? name += recorded.extension() : name / "");
}

// As the latents were made, and what the flags say; written beside the file.
GenerateOptions options_of(const LatentsFile& file, const DecodeCommand& command) {
  GenerateOptions options;
  if (!file.config.is_null()) apply_json(options, file.config, command.file.string());
  const fs::path recorded_output = options.output = output_beside(command.file, options.output);
  options.save_latents = beside(command.file, options.save_latents);
  command.flags->apply(options);
  if (options.output.extension() != recorded_output.extension()) {  // another kind of file: its own codec again
    options.codec.clear();
    options.crf.reset();
    command.flags->apply(options);
  }
  return options;
}

void decode(const DecodeCommand& command) {
  const LatentsFile file = read_latents(command.file);
  GenerateOptions options = options_of(file, command);
  options.save_latents.clear();
  const Checkpoint checkpoint = Checkpoint::open(model_folder(options));
  fill_from_latents(options, file.latents, checkpoint);
  Render render = resolve_to_video(options, checkpoint);
  if (file.config.is_null()) render.unknown = settings_of_denoising();
  if (file.unfinished) {
    render.warnings.push_back(fmt::format("these latents are those after step {} of {}: the clip is unfinished",
                                          file.unfinished->steps_done, file.steps));
  }
  expect_shape(file.latents, render, command.file);
  if (!all_finite(file.latents.contiguous()))
    throw Error(fmt::format("{}: latents hold infinity or values that are not numbers", command.file.string()));

  watch_interrupts();
  Console console(command.progress);
  for (const std::string& warning : render.warnings) console.warn(warning);
  CogVideoX model(checkpoint, render.model);
  deliver(model, file.latents, render, checkpoint, file.attention, console);
}

void resume(const DecodeCommand& command) {
  const LatentsFile file = read_latents(command.file);
  if (!file.unfinished) {
    throw UsageError(fmt::format("{} holds no unfinished denoising", command.file.string()),
                     fmt::format("bitreel decode {}", command.file.string()));
  }
  watch_interrupts();
  Console console(command.progress);
  generate(options_of(file, command), console, file);
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
  command->callback([state] { resume(*state); });
}

}  // namespace bitreel
