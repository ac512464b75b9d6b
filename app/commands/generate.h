// bitreel generate: one prompt, one video.
//
//   bitreel generate --prompt "a red circle moves right on a navy background" --output out/demo.mp4
//
// The way of a clip, top to bottom: options, checkpoint, plan, text, denoise, latents on the disk, frames, file.
#pragma once

#include <CLI/CLI.hpp>

#include "app/console.h"
#include "app/files/latents_file.h"
#include "app/options.h"

namespace bitreel {

void add_generate(CLI::App& app);

struct StartOptions {
  bool force = false;  // over an earlier run's kept work, and with less memory than the clip is expected to take
};

// from: what an unfinished run left, to go on from; options are then its own.
void generate(const GenerateOptions& options, Console& console, const LatentsFile& from = {},
              const StartOptions& start = {});

// --progress, for every command that shows some. The value must outlive the parse.
void add_progress_flag(CLI::App& command, ProgressStyle& style);

}  // namespace bitreel
