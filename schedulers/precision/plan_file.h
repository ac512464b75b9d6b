// A precision plan as a YAML file that people can read and edit.
//
//   bitreel_plan: 1                      # the format's version
//   made_for:
//     model: "pocket"
//     model_hash: "9f86d081"
//     scheduler: "ddim"
//     layers: 12
//     timesteps: [999, 799, 599, 399, 199]   # one per step
//   note: "bitreel plan --share 30%"     # optional
//   bound: 0.04                          # optional: the error of a call, 1 - score, that --guard lets pass
//   default: int4                        # of every cell that no rule names; optional when the rules name all
//   rules:                               # optional; layers and steps count from 0; one left out means all of them
//     - {precision: int8, steps: 0-1}
//     - {precision: full, steps: [2, 3-4], layers: [0, 5-7]}
//
// Strict: unknown and repeated keys, a cell named by two rules or by none, ranges that are reversed or leave the table,
// unknown precisions and other versions are UsageErrors with the file's name and line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "schedulers/precision/plan.h"

namespace bitreel {

// Of the format described above.
inline constexpr std::int64_t plan_format_version = 1;

Plan read_plan(const std::filesystem::path& file);
// The same from text; errors call it `name`.
Plan plan_from_yaml(const std::string& text, const std::string& name);

// What read_plan reads back as the same plan, in as few rules as grouping by steps or by layers gives.
std::string to_yaml(const Plan& plan);

}  // namespace bitreel
