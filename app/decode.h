// bitreel decode: latents that a run saved, as a video.
//
//   bitreel decode out/demo.latents.safetensors --output out/demo.webm
//
// Settings come from the file's metadata; flags win. Latents of another program go beside themselves
// (latents.safetensors to latents.mp4), often need --model, and their provenance holds no seed or prompt.
#pragma once

#include <CLI/CLI.hpp>

namespace bitreel {

void add_decode(CLI::App& app);

}  // namespace bitreel
