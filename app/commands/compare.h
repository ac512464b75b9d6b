// bitreel compare: the same clips in several ways, side by side, with what differs in quality and speed.
//
//   bitreel compare FILE.yaml --output out/compare
//   bitreel compare --prompts FILE --attention int8 --attention plan.yaml --output out/compare
//   bitreel compare a.mp4 b.mp4 --output out/compare      # videos that exist already
//
// What FILE.yaml says: app/compare/comparison.h. What the folder gets: app/compare/report.h.
#pragma once

#include <CLI/CLI.hpp>

namespace bitreel {

void add_compare(CLI::App& app);

}  // namespace bitreel
