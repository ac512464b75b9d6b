// What a comparison is of: prompts, each rendered once by every variant from the same noise.
//
//   const Comparison comparison = read_comparison("compare.yaml");
//   const Comparison of_flags = comparison_of({"int8", "plan.yaml"}, "prompts.txt", options);   // baseline: full
//
// The file:
//
//   prompts: assets/prompts/sweep-32.json      # or a list of prompts
//   seeds: 7                                   # prompt i gets 7 + i; or a list, one for each prompt; 0 when absent
//   defaults: {steps: 30}                      # settings of bitreel generate, for all
//   variants:                                  # name -> the settings that differ
//     full: {}
//     int8: {attention: int8}
//     fewer: {steps: 15}
//   baseline: full                             # what the others are measured against; the first when absent
//   repeats: 1                                 # denoisings that are timed, of each clip
//
// Errors: UsageError with file and line for unknown or repeated keys, with the nearest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "app/options.h"

namespace bitreel {

struct Variant {
  std::string name;  // of its folder
  GenerateOptions options;
};

struct Comparison {
  std::vector<std::string> prompts;
  std::filesystem::path prompts_file;  // that they come from; empty when they were listed
  std::vector<std::uint64_t> seeds;    // one for each prompt
  std::vector<Variant> variants;       // the baseline first
  std::int64_t repeats = 1;

  [[nodiscard]] const Variant& baseline() const { return variants.front(); }
};

Comparison read_comparison(const std::filesystem::path& file);

// One variant for each --attention, full precision as the baseline; the rest as in `options`, whose seed is the first
// prompt's.
Comparison comparison_of(const std::vector<std::string>& attentions, const std::filesystem::path& prompts_file,
                         const GenerateOptions& options);

// Settings, by their names as flags, that a comparison settles itself.
const std::vector<std::string>& settled_by_comparison();

}  // namespace bitreel
