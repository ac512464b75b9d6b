// The facts of one rendered clip, as compare keeps them (comparison_folder.h) and its report shows them (report.h).
//
//   nlohmann::ordered_json facts = {{"variant", "int8"}, {"prompt", 0}};
//   add_record(facts, record, render);                  // what ran, how long, in how much memory
//   add_measures(facts, measures, folder, "int8", 0);   // what its frames are like; the picture of the worst one
//   add_times(facts, repeated.step_seconds);            // of the same denoising once more
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/compare/clip_measures.h"
#include "app/compare/comparison_folder.h"
#include "app/record.h"
#include "app/render.h"
#include "pipelines/model/planned_attention.h"

namespace bitreel {

void add_record(nlohmann::ordered_json& facts, const ClipRecord& record, const Render& render);

// By step, as step_seconds are.
void add_attention(nlohmann::ordered_json& facts, const AttentionTimes& attention, const ClipRecord& record);

void add_measures(nlohmann::ordered_json& facts, const ClipMeasures& measures, const ComparisonFolder& folder,
                  const std::string& variant, std::size_t prompt);

// step_seconds becomes the median over all repeats.
void add_times(nlohmann::ordered_json& facts, const std::vector<double>& step_seconds);

}  // namespace bitreel
