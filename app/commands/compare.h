// bitreel compare: the same clips at several precisions of attention, against full precision.
//
//   bitreel compare --prompts FILE --attention int8 --attention plan.yaml --output out/compare
//
// Each prompt is rendered in full precision and then with each --attention, same seed. The folder gets every clip as
// NAME/clip-012.mp4 (what `bitreel judge` reads) and compare.json: for each attention, by prompt and in the mean, the
// latents' relative L2 error after every step, PSNR and SSIM of the frames, and the seconds of a step.
#pragma once

#include <CLI/CLI.hpp>

namespace bitreel {

void add_compare(CLI::App& app);

}  // namespace bitreel
