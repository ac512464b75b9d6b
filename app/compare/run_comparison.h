// Renders and measures every clip of a comparison, and goes on where an earlier run of the same one stopped.
//
//   run_comparison(read_comparison("compare.yaml"), "out/compare", console);
//
// Within each prompt variants take turns, after a warm-up of two steps each, so that a machine's moods meet all alike;
// with repeats their denoisings are timed again in the same turns. Every model is loaded once.
// The folder gets NAME/clip-000.mp4 and what was measured of it, NAME/clip-000.facts.json, as soon as the clip is
// there; after each prompt the report of all prompts so far (report.h). Until a prompt is complete its frames, and the
// baseline's latents after every step, are files in work/, so memory holds one clip's denoising, whatever is compared.
// A clip whose facts are there, made from the same settings, is not rendered again.
#pragma once

#include <filesystem>

#include "app/compare/comparison.h"
#include "app/console.h"

namespace bitreel {

void run_comparison(const Comparison& comparison, const std::filesystem::path& folder, Console& console);

}  // namespace bitreel
