// A clip's work on the disk while its video is not: a crash, an interrupt or a failed decode loses next to none of it.
//
//   refuse_kept_work(render.options);                        // an earlier run's
//   UnfinishedOnDisk unfinished(render, console, from);      // clip.unfinished.safetensors, for bitreel resume
//   const auto on_step = [&](const StepEvent& event, const ClipRecord& so_far) { unfinished.keep(event, so_far); };
//   run_clip(render, console, {.identity = identity, .plan = &plan, .on_step = on_step});
//   const LatentsOnDisk saved(latents, render, record, console);   // clip.latents.safetensors, for bitreel decode
//   unfinished.remove();
//
// Destroyed by an exception, both say which command goes on from there.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>

#include "app/console.h"
#include "app/files/latents_file.h"
#include "app/record.h"
#include "app/render.h"

namespace bitreel {

// Where they lie: "out/clip.unfinished.safetensors" and, without --save-latents, "out/clip.latents.safetensors".
std::filesystem::path unfinished_path(const std::filesystem::path& output);
std::filesystem::path latents_path(const GenerateOptions& options);

// UsageError when an earlier run's work for this output lies there, which a new run would overwrite: names the command
// that goes on from it.
void refuse_kept_work(const GenerateOptions& options);

class UnfinishedOnDisk {
 public:
  // from: what this run goes on from, if unfinished. Its file stays the one place of this clip's unfinished work, where
  // --output may name another video: it grows step by step and goes once the clip is denoised.
  UnfinishedOnDisk(const Render& render, Console& console, const LatentsFile& from);
  ~UnfinishedOnDisk();
  UnfinishedOnDisk(const UnfinishedOnDisk&) = delete;
  UnfinishedOnDisk& operator=(const UnfinishedOnDisk&) = delete;

  // Writes after the first step, then at most once a second, and before an interrupt. A full disk is a warning.
  void keep(const StepEvent& event, const ClipRecord& record);
  void remove();

 private:
  using Clock = std::chrono::steady_clock;

  const Render& render_;
  Console& console_;
  std::filesystem::path path_;
  std::int64_t steps_kept_;
  Clock::time_point next_ = Clock::now();
};

// The denoised latents; without --save-latents their file is only a safety copy and goes when the video is complete.
class LatentsOnDisk {
 public:
  LatentsOnDisk(const NamedTensors& latents, const Render& render, const ClipRecord& record, Console& console);
  ~LatentsOnDisk();
  LatentsOnDisk(const LatentsOnDisk&) = delete;
  LatentsOnDisk& operator=(const LatentsOnDisk&) = delete;

 private:
  std::filesystem::path path_;
  std::filesystem::path output_;
  Console& console_;
  bool is_copy_ = false;
};

}  // namespace bitreel
