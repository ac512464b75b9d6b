// What a clip's run was: which weights, device and implementations, what attended where, how long and in how much
// memory. The JSON of the sidecar and of latents files; docs/documents.md lists their keys.
//
//   ClipRecord record = record_of(render, identify(*render.model));   // what is known before the work
//   VideoWriter video(path, options, width, height, provenance(render, record));
//   for (const Frame& frame : frames) video.push(frame);
//   video.finish(outcome(record));                                    // what is known only after it
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/files/model_identity.h"
#include "app/render.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

// Of the sidecar's and the video comment's JSON.
inline constexpr int clip_format_version = 1;

struct ClipRecord {
  nlohmann::ordered_json model = {};        // ModelIdentity::files
  nlohmann::ordered_json run = {};          // device, implementations and overrides of the process that denoised
  nlohmann::ordered_json attention = {};    // attention_record; null when nobody knows
  std::vector<PrecisionRow> executed = {};  // one row per step, the guard's moves included
  std::vector<double> step_seconds = {};
  nlohmann::ordered_json seconds = nlohmann::ordered_json::object();  // by phase: text, denoise, decode
  std::int64_t peak_host_bytes = 0;
  std::int64_t peak_device_bytes = 0;
  nlohmann::ordered_json phase_device_bytes = nlohmann::ordered_json::object();  // as seconds; empty on a CPU
  std::vector<std::string> events = {};                                          // what was warned about
};

ClipRecord record_of(const Render& render, const ModelIdentity& identity);

// The environment's variables that change what runs or how, as an object.
nlohmann::ordered_json environment_overrides();

// Where a clip comes from: enough to make it again, and to know whether it is the same model.
nlohmann::ordered_json provenance(const Render& render, const ClipRecord& record);

nlohmann::ordered_json outcome(const ClipRecord& record);

}  // namespace bitreel
