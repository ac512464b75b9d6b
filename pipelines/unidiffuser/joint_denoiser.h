// One denoising step's prediction in any mode: the U-ViT's passes and the guidance between them.
//
//   const JointDenoiser denoiser(uvit, {.mode = UniDiffuserMode::joint, .guidance_scale = 8});
//   at::Tensor noise = denoiser.predict(current, timestep, generator, full_attention());   // rows as flat() has them
//
// What is not made is a condition at timestep 0 (t2i's text, i2t's picture) or, in the marginal modes, noise drawn once
// that stays, at timestep 1000. Guidance above 1 sets the prediction off against one whose other half is fresh noise at
// timestep 1000, drawn anew each step; the passes run as one batch. Up to 1 it is off, and nothing is drawn.
// Source: UniDiffuser, arXiv 2303.06555, section 3; diffusers pipeline_unidiffuser.py, _get_noise_pred.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "pipelines/model/layer_attention.h"
#include "pipelines/unidiffuser/joint.h"
#include "pipelines/unidiffuser/uvit.h"

namespace bitreel {

struct JointGuidance {
  UniDiffuserMode mode = UniDiffuserMode::t2i;
  double guidance_scale = 8.0;
  std::int64_t pure_noise_timestep = 1000;  // one past the schedule
  std::int64_t data_type = default_data_type;
};

// U-ViT passes that a step takes: 1 to 3.
std::int64_t passes(UniDiffuserMode mode, double guidance_scale);

class JointDenoiser {
 public:
  JointDenoiser(const UVit& uvit, JointGuidance guidance) : uvit_(uvit), guidance_(guidance) {}

  // current: the latents so far, and the conditions.
  [[nodiscard]] at::Tensor predict(const JointTensors& current, std::int64_t timestep, const at::Generator& generator,
                                   const LayerAttention& attention) const;

 private:
  [[nodiscard]] UVitInput passes_of(const JointTensors& current, std::int64_t timestep,
                                    const at::Generator& generator) const;

  const UVit& uvit_;
  JointGuidance guidance_;
};

// Drawn on the generator's device in the shape and dtype of `like`, then moved.
at::Tensor noise_like(const at::Tensor& like, const at::Generator& generator);

}  // namespace bitreel
