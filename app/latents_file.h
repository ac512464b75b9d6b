// The final latents of a clip on the disk: what a failed decode, an interrupt or `bitreel decode` starts from.
//
//   write_latents("clip.latents.safetensors", latents, render.options);
//   const LatentsFile file = read_latents("clip.latents.safetensors");
//
// A safetensors file with one tensor `latents` [batch, frames, channels, height, width], as the peer returns for
// output_type="latent", and the resolved configuration as JSON in the metadata (keys "config", "attention": see
// attention_plan.h, and "bitreel": version).
// Latents of an interrupted run, not yet denoised to the end, carry the last complete step ("stopped_after_step").
// Errors: Error when the file is no such file.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "app/options.h"

namespace bitreel {

struct LatentsFile {
  at::Tensor latents;
  nlohmann::ordered_json config;     // null for latents that another program wrote
  nlohmann::ordered_json attention;  // null likewise
  std::string stopped_after_step;    // "12 of 50"; empty for final latents
};

void write_latents(const std::filesystem::path& path, const at::Tensor& latents, const GenerateOptions& options,
                   const nlohmann::ordered_json& attention, const std::string& stopped_after_step = {});
LatentsFile read_latents(const std::filesystem::path& path);

}  // namespace bitreel
