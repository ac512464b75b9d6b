// A comparison of videos that exist already: the first is the baseline.
//
//   compare_videos({"full.mp4", "int8.mp4"}, "out/compare", console);
//
// The folder gets copies of them, re-encoded to H.264 where browsers may not play what they are in, and the report of
// report.h without times and latents. Frames are compared as they decode, so what encoding lost counts.
// Errors: UsageError for fewer than two; Error for sizes or lengths that differ, saying how, before anything is
// written.
#pragma once

#include <filesystem>
#include <vector>

#include "app/console.h"

namespace bitreel {

void compare_videos(const std::vector<std::filesystem::path>& videos, const std::filesystem::path& folder,
                    Console& console);

}  // namespace bitreel
