// The final latents of a clip on the disk: what a failed decode, an interrupt or `bitreel decode` starts from.
//
//   write_latents("clip.latents.safetensors", latents, render.options);
//   const LatentsFile file = read_latents("clip.latents.safetensors");
//
// A safetensors file with one tensor `latents` [batch, frames, channels, height, width], as the peer returns for
// output_type="latent", and the resolved configuration as JSON in the metadata (keys "config", "attention": see
// attention_plan.h, and "bitreel": version).
// Latents that are not denoised to the end come with all that the rest follows from: the tensors of DenoisingState, and
// the steps done of all ("steps_done", "steps").
// Errors: Error when the file is no such file.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/options.h"
#include "pipelines/cogvideox/pipeline.h"

namespace bitreel {

struct LatentsFile {
  std::filesystem::path path;
  at::Tensor latents;
  nlohmann::ordered_json config;     // null for latents that another program wrote
  nlohmann::ordered_json attention;  // null likewise
  std::optional<DenoisingState> unfinished;
  std::int64_t steps = 0;  // of an unfinished run, in all
};

void write_latents(const std::filesystem::path& path, const at::Tensor& latents, const GenerateOptions& options,
                   const nlohmann::ordered_json& attention);
void write_unfinished(const std::filesystem::path& path, const DenoisingState& state, std::int64_t steps,
                      const GenerateOptions& options, const nlohmann::ordered_json& attention);
LatentsFile read_latents(const std::filesystem::path& path);

}  // namespace bitreel
