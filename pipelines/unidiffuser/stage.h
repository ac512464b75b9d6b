// One denoising in one mode, from noise and conditions to latents: all there is to a request, or half of a variation.
//
//   const JointTensors start = start_of(UniDiffuserMode::t2i, embeddings, 1, parts, generator);
//   const JointTensors final =
//       denoise_stage({.mode = UniDiffuserMode::t2i, .steps = 2}, start, parts, generator, in_full);
//
// The generator is drawn from in the peer's order: text noise, the posterior of a picture, the picture's noise; then
// what each step draws (joint_denoiser.h). Errors: Error naming the step when latents stop being finite.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "pipelines/model/denoising.h"
#include "pipelines/unidiffuser/joint.h"
#include "pipelines/unidiffuser/parts.h"

namespace bitreel {

// What the loop starts from: noise for what is made, the encoded prompt or picture, noise that stays.
// encoded: as UniDiffuser::encode has it.
JointTensors start_of(UniDiffuserMode mode, const NamedTensors& encoded, std::int64_t count, UniDiffuserParts& parts,
                      const at::Generator& generator);

struct Stage {
  UniDiffuserMode mode = UniDiffuserMode::t2i;
  std::int64_t steps = 50;
  double guidance_scale = 8.0;
};

// Between two steps of it.
struct StageProgress {
  std::int64_t steps_done = 0;  // of this stage
  JointTensors tensors;
  NamedTensors scheduler;
};

struct StageOptions {
  // index and count of the step: of this stage.
  std::function<LayerAttention(const DenoisingStep& step)> attention = {};
  std::function<void(const DenoisingStep& step, const StageProgress& progress)> on_step = {};
  std::optional<StageProgress> from = {};  // the generator is then as it was
};

// The final latents and the conditions, unchanged.
JointTensors denoise_stage(const Stage& stage, const JointTensors& start, UniDiffuserParts& parts,
                           const at::Generator& generator, const StageOptions& options);

}  // namespace bitreel
