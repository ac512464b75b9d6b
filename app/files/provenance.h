// Where a clip comes from, as JSON: enough to make it again, and to know whether it is the same model.
//
//   VideoWriter video(path, options, width, height, provenance(render, attention));
//
//   {"bitreel": version, "libtorch": version, "config": every setting that is known, "attention": what ran,
//    "model": {"class": ..., "files": {...}}}
//
// Weight files up to 256 MiB carry the SHA-256 of all their bytes ("sha256"). Larger ones would take seconds to
// minutes to read, so they carry that of their safetensors header ("sha256_of_header"): it fixes every tensor's name,
// dtype, shape and place, not its values. Both come with the file's size.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/render.h"
#include "pipelines/checkpoint/checkpoint.h"

namespace bitreel {

// attention: the record of what ran (attention_plan.h); null when nobody knows.
nlohmann::json provenance(const Render& render, const nlohmann::ordered_json& attention);

// Tells denoisers apart: the SHA-256 of its weights (of the headers only, for large files), of all shards together.
std::string denoiser_hash(const Pipeline& model);

// {"bytes": ..., "sha256" or "sha256_of_header": ...} of one safetensors file.
nlohmann::json identity_of(const std::filesystem::path& file);

}  // namespace bitreel
