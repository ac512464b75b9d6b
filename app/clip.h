// A clip's run: what generate, resume, compare and calibrate have in common.
//
//   const auto on_denoised = [&](const NamedTensors& latents, const ClipRecord& so_far) {
//     keep(latents, so_far);
//     return sink;
//   };
//   const ClipRecord record =
//       run_clip(render, console, {.identity = identity, .plan = &plan, .on_denoised = on_denoised});
//
// Text, denoising, decoding, in this order; a phase's parts of the model are released after it unless the run is to
// keep them for the next clip.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/console.h"
#include "app/record.h"
#include "app/render.h"
#include "pipelines/model/planned_attention.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

struct ClipRun {
  ModelIdentity identity;

  // Exactly one of these: the plan, or what attends in its place.
  const Plan* plan = nullptr;
  StepAttention attention = {};

  std::optional<NamedTensors> embeddings = {};  // instead of encoding the request's text
  std::optional<DenoisingState> from = {};      // with what ran before it
  PlanProgress before = {};
  std::set<Phase> keep = {};  // phases whose parts stay loaded
  std::string name = {};      // what the console calls the denoising; its own phases, "text" and "denoise", when empty
  std::string if_interrupted = {};  // what is true then, for the person

  std::function<void(const StepEvent& event, const ClipRecord& so_far)> on_step = {};
  // Gets the final latents and says where what they decode to goes; nothing is decoded when it is empty.
  std::function<DecodeSink(const NamedTensors& latents, const ClipRecord& so_far)> on_denoised = {};
};

// The embeddings of several requests, after which the model lets go of what made them: beside what is kept over clips
// it would add to the memory peak.
std::vector<NamedTensors> encode_all(Pipeline& model, const std::vector<Request>& requests, Console& console,
                                     const std::string& if_interrupted);

// The record is complete once this returns; callbacks see it as far as it is. Throws Interrupted between two steps
// after a signal.
ClipRecord run_clip(const Render& render, Console& console, const ClipRun& run);

}  // namespace bitreel
