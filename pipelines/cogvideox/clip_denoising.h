// One clip between noise and latents: what its denoising remembers from step to step, whoever shares the transformer's
// batch with it.
//
//   ClipDenoising clip(denoising, config, {.shapes = model.latent_shapes(request), .dtype = dtype, .device = device});
//   const at::Tensor modulations = transformer->modulations(model.timesteps(request));
//   for (const DenoisingStep& step : clip.steps_left()) {
//     const at::Tensor modulation = modulations.narrow(0, step.index, 1);
//     clip.advance(step, (*transformer)(clip.input(), conditioning, {.modulation = modulation}));
//   }
//   const NamedTensors latents = clip.latents();
//
// Guidance makes two branches, [negative; prompt]: text(), input() and the prediction have that many batch entries.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "pipelines/cogvideox/config.h"
#include "pipelines/model/denoising.h"
#include "pipelines/model/run_options.h"
#include "schedulers/noise/scheduler.h"

namespace bitreel {

struct LatentsAsRun {
  LatentShapes shapes;
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  Elementwise elementwise = Elementwise::fused;
};

class ClipDenoising {
 public:
  // Begins from noise, or from where `clip.options.from` left off. `clip` has to outlive this.
  // Errors: Error for a state of other latents or step counts, and for embeddings that lack what guidance needs.
  ClipDenoising(const Denoising& clip, const CogVideoXConfig& config, const LatentsAsRun& run);

  [[nodiscard]] std::int64_t branches() const { return guides_ ? 2 : 1; }
  [[nodiscard]] std::int64_t first_step() const { return clip_.options.from ? clip_.options.from->steps_done : 0; }
  [[nodiscard]] std::vector<DenoisingStep> steps_left() const;
  [[nodiscard]] at::Tensor text() const;   // [branches, text tokens, text_dim]
  [[nodiscard]] at::Tensor input() const;  // [branches, F, C, H/s, W/s]
  [[nodiscard]] LayerAttention attention_of(const DenoisingStep& step, const std::string& backend) const;

  // Takes the step and tells of it. Error naming the step when the latents stop being finite.
  void advance(const DenoisingStep& step, const at::Tensor& prediction);

  [[nodiscard]] NamedTensors latents() const { return {{"latents", latents_}}; }

 private:
  const Denoising& clip_;
  LatentsAsRun run_;
  bool guides_;
  std::unique_ptr<NoiseScheduler> scheduler_;
  at::Generator generator_;
  at::Tensor latents_;
};

// The one that a request's steps follow.
std::unique_ptr<NoiseScheduler> scheduler_for(const Request& request, const CogVideoXConfig& config);

// Of embeddings or latents; Error when there is none of that name.
const at::Tensor& tensor_in(const NamedTensors& tensors, const std::string& name);

}  // namespace bitreel
