// The latents of a clip on the disk: what a failed decode, an interrupt or `bitreel decode` starts from.
//
//   write_latents("clip.latents.safetensors", latents, render.options, record);
//   const LatentsFile file = read_latents("clip.latents.safetensors");
//
// A safetensors file with the model's latents under their own names (of a video: `latents` [batch, frames, channels,
// height, width], as the peer returns for output_type="latent"), and in the metadata the resolved configuration as JSON
// ("config"), what ran ("model", "run", "attention", "events": app/record.h) and the version ("bitreel").
// Latents that are not denoised to the end come with all that the rest follows from: `generator`, the scheduler's state
// as `scheduler.NAME`, and the steps done of all ("steps_done", "steps"). Files from before 0.2 hold the scheduler's
// `previous_original` without the prefix.
// Errors: Error when the file is no such file.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/options.h"
#include "app/record.h"
#include "pipelines/model/denoising.h"

namespace bitreel {

struct LatentsFile {
  std::filesystem::path path;
  NamedTensors latents;
  nlohmann::ordered_json config;                 // null for latents that another program wrote
  nlohmann::ordered_json model, run, attention;  // of ClipRecord, each null when the file doesn't say
  std::vector<std::string> events;               // likewise, empty when it doesn't say
  std::optional<DenoisingState> unfinished;
  std::int64_t steps = 0;  // of an unfinished run, in all
};

void write_latents(const std::filesystem::path& path, const NamedTensors& latents, const GenerateOptions& options,
                   const ClipRecord& record);
void write_unfinished(const std::filesystem::path& path, const DenoisingState& state, std::int64_t steps,
                      const GenerateOptions& options, const ClipRecord& record);
LatentsFile read_latents(const std::filesystem::path& path);

}  // namespace bitreel
