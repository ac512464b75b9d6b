#include "app/files/kept_work.h"

#include <fmt/format.h>

#include <exception>
#include <string>

#include "app/interrupt.h"
#include "base/error.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// "out/clip.mp4" -> "out/clip.latents.safetensors": beside the video, under its name.
fs::path kept_beside(const fs::path& output, const std::string& extension) {
  fs::path path = output.has_filename() ? output : output.parent_path();
  return path.replace_extension(extension);
}

void remove_copy(const fs::path& path) {
  std::error_code ignored;  // a copy that stays behind does no harm
  fs::remove(path, ignored);
}

}  // namespace

fs::path unfinished_path(const fs::path& output) {
  return kept_beside(output, ".unfinished.safetensors");
}

fs::path latents_path(const GenerateOptions& options) {
  return options.save_latents.empty() ? kept_beside(options.output, ".latents.safetensors") : options.save_latents;
}

void refuse_kept_work(const GenerateOptions& options) {
  const auto refuse = [&](const fs::path& kept, const std::string& what, const std::string& command) {
    throw UsageError(
        fmt::format("{} keeps {} of this output by an earlier run, or one that is still at it", kept.string(), what),
        fmt::format("bitreel {} {} goes on from there; --force starts over", command, kept.string()));
  };
  const auto is_there = [](const fs::path& path) {
    std::error_code unknown;
    return fs::exists(path, unknown);
  };
  const fs::path unfinished = unfinished_path(options.output), latents = latents_path(options);
  if (is_there(unfinished)) refuse(unfinished, "the denoising so far", "resume");
  // Latents that were asked for stay beside a video that is complete, and are replaced with it.
  if (is_there(latents) && (options.save_latents.empty() || !is_there(options.output)))
    refuse(latents, "the denoised latents", "decode");
}

UnfinishedOnDisk::UnfinishedOnDisk(const Render& render, Console& console, const LatentsFile& from)
    : render_(render),
      console_(console),
      path_(from.unfinished ? from.path : unfinished_path(render.options.output)),
      steps_kept_(from.unfinished ? from.unfinished->steps_done : 0) {}

UnfinishedOnDisk::~UnfinishedOnDisk() {
  if (steps_kept_ == 0) return;
  const std::string path = path_.string();
  console_.say(fmt::format("the denoising up to step {} is kept; to go on from there:\n  bitreel resume {}\n"
                           "to see how far it is:\n  bitreel decode {} --output {}",
                           steps_kept_, path, path, render_.options.output.string()),
               "denoising_kept", {{"path", path}, {"step", steps_kept_}});
}

void UnfinishedOnDisk::keep(const StepEvent& event, const ClipRecord& record) {
  const Clock::time_point now = Clock::now();
  if (!interrupt_requested() && now < next_) return;
  next_ = now + std::chrono::seconds(1);
  try {
    write_unfinished(path_, event.state(), event.step.count, render_.options, record);
    steps_kept_ = event.step.index + 1;
  } catch (const Error& e) {
    console_.warn_once(fmt::format("the denoising so far is not kept: {}", e.what()));
  }
}

void UnfinishedOnDisk::remove() {
  remove_copy(path_);  // an earlier run's too, which this one started over
  steps_kept_ = 0;
}

LatentsOnDisk::LatentsOnDisk(const NamedTensors& latents, const Render& render, const ClipRecord& record,
                             Console& console)
    : path_(latents_path(render.options)),
      output_(render.options.output),
      console_(console),
      is_copy_(render.options.save_latents.empty()) {
  write_latents(path_, latents, render.options, record);
}

LatentsOnDisk::~LatentsOnDisk() {
  if (std::uncaught_exceptions() > 0) {
    console_.say(fmt::format("the denoised latents are kept; to go on from there:\n  bitreel decode {} --output {}",
                             path_.string(), output_.string()),
                 "latents_kept", {{"path", path_.string()}});
  } else if (is_copy_) {
    remove_copy(path_);
  }
}

}  // namespace bitreel
