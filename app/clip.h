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
// keep them for the next clip. The phases apart, for clips of one model that are denoised together:
//
//   RunningClip clip(render, console, {.identity = identity, .plan = &plan});
//   clip.encode();
//   denoise({&clip});                   // several in one batch, where their requests share it (Pipeline::shares_batch)
//   const ClipRecord record = clip.decode(on_denoised);
#pragma once

#include <functional>
#include <memory>
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

// Gets the final latents and says where what they decode to goes; nothing is decoded when it is empty.
using OnDenoised = std::function<DecodeSink(const NamedTensors& latents, const ClipRecord& so_far)>;

struct ClipRun {
  ModelIdentity identity;

  // Exactly one of these: the plan, or what attends in its place.
  const Plan* plan = nullptr;
  StepAttention attention = {};

  std::optional<NamedTensors> embeddings = {};  // instead of encoding the request's text
  std::optional<DenoisingState> from = {};      // with what ran before it
  PlanProgress before = {};
  std::set<Phase> keep = {};  // phases whose parts stay loaded
  std::size_t lanes = 1;      // clips that this process renders side by side, this one included: for the record
  std::string name = {};      // what the console calls the denoising; its own phases, "text" and "denoise", when empty
  std::string if_interrupted = {};  // what is true then, for the person

  AttentionTimes* attention_times = nullptr;  // gets how long the plan's calls took (planned_attention.h)

  std::function<void(const StepEvent& event, const ClipRecord& so_far)> on_step = {};
  OnDenoised on_denoised = {};  // by run_clip
};

// The embeddings of several requests, after which the model lets go of what made them: beside what is kept over clips
// it would add to the memory peak.
std::vector<NamedTensors> encode_all(Pipeline& model, const std::vector<Request>& requests, Console& console,
                                     const std::string& if_interrupted);

// The record is complete once this returns; callbacks see it as far as it is. Throws Interrupted between two steps
// after a signal.
ClipRecord run_clip(const Render& render, Console& console, const ClipRun& run);

class RunningClip {
 public:
  // render and console have to outlive this.
  RunningClip(const Render& render, Console& console, ClipRun run);
  ~RunningClip();
  RunningClip(const RunningClip&) = delete;
  RunningClip& operator=(const RunningClip&) = delete;

  void encode();  // unless the run has embeddings
  ClipRecord decode(const OnDenoised& on_denoised);

 private:
  struct Work;
  std::unique_ptr<Work> work_;
  friend void denoise(const std::vector<RunningClip*>& clips);
};

// Of one model, which keeps what the first one's run says. Throws whatever befalls one of them.
void denoise(const std::vector<RunningClip*>& clips);

}  // namespace bitreel
