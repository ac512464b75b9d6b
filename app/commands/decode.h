// bitreel decode: latents that a run saved, as a video. bitreel resume: a denoising that was interrupted, to its end.
//
//   bitreel decode out/demo.latents.safetensors --output out/demo.webm
//   bitreel resume out/demo.unfinished.safetensors
//
// Settings come from the file's metadata; flags win. Latents of another program go beside themselves
// (latents.safetensors to latents.mp4), often need --model, and their provenance holds no seed or prompt.
// A resumed denoising ends in the same latents, bit for bit, as one that nothing interrupted.
#pragma once

#include <CLI/CLI.hpp>

namespace bitreel {

void add_decode(CLI::App& app);
void add_resume(CLI::App& app);

}  // namespace bitreel
