// What a comparison leaves in its folder, made from the facts of its clips:
//     compare.json       all figures (docs/documents.md)
//     compare.csv        a row for each clip
//     index.html         to look at; opens from the disk
//     side-by-side/      for each prompt a labelled video of all variants, and five frames of each as a picture
//
//   write_side_by_side({{.name = "full", .frames = "full.mkv", .facts = facts["full"][0]}}, prompt, "out/compare", 0);
//   const auto report = write_report(comparison, "out/compare", {{.name = "full"}}, facts);
//   std::cout << table_of(report);
//
// Facts are what is known of one clip: "video", "frames", "per_frame" and so on (clip_measures.h), and where it was
// rendered what clip_facts.h adds.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/compare/comparison.h"
#include "app/render.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

// By variant, then by prompt.
using ClipFacts = std::map<std::string, std::map<std::size_t, nlohmann::ordered_json>>;

struct DescribedVariant {
  std::string name;
  const Render* render = nullptr;  // null for videos that existed
  const Plan* plan = nullptr;      // likewise
};

// compare.json, compare.csv and index.html of the prompts whose clips all have facts; returns compare.json's content.
// The first variant is the baseline.
nlohmann::ordered_json write_report(const Comparison& comparison, const std::filesystem::path& folder,
                                    const std::vector<DescribedVariant>& variants, const ClipFacts& facts);

// For the terminal.
std::string table_of(const nlohmann::ordered_json& report);

struct SideBySideClip {
  std::string name;
  std::filesystem::path frames;  // a video without loss
  nlohmann::ordered_json facts;
};

// side-by-side/clip-000.mp4 with each frame's PSNR and SSIM under it, and clip-000.jpg.
void write_side_by_side(const std::vector<SideBySideClip>& clips, const std::string& prompt,
                        const std::filesystem::path& folder, std::size_t index);

}  // namespace bitreel
