#include "pipelines/cogvideox/clip_denoising.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "pipelines/cogvideox/guidance.h"
#include "pipelines/cogvideox/guided_step.h"
#include "pipelines/cogvideox/request.h"
#include "pipelines/layers/work_clock.h"

namespace bitreel {

std::unique_ptr<NoiseScheduler> scheduler_for(const Request& request, const CogVideoXConfig& config) {
  return make_scheduler(request.scheduler, NoiseSchedule(config.schedule, request.steps));
}

const at::Tensor& tensor_in(const NamedTensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw Error(fmt::format("there is no tensor {}, which this model takes", name));
  return found->second;
}

// Noise is drawn on the CPU in the model's dtype, then moved: the only numbers that every machine agrees on.
ClipDenoising::ClipDenoising(const Denoising& clip, const CogVideoXConfig& config, const LatentsAsRun& run)
    : clip_(clip),
      run_(run),
      guides_(uses_guidance(clip.request)),
      scheduler_(scheduler_for(clip.request, config)),
      generator_(at::detail::createCPUGenerator(clip.request.seed)) {
  if (const auto& from = clip.options.from) {
    check_state(*from, run.shapes, std::ssize(scheduler_->schedule().timesteps()));
    latents_ = from->latents.at("latents");
    generator_.set_state(from->generator);
    NamedTensors remembered = from->scheduler;
    for (auto& [name, tensor] : remembered) tensor = tensor.to(run.device);
    scheduler_->restore(remembered);
  } else {
    latents_ = at::randn(run.shapes.at("latents"), generator_, at::TensorOptions(run.dtype));
  }
  latents_ = latents_.to(run.device);
}

std::vector<DenoisingStep> ClipDenoising::steps_left() const {
  const std::vector<std::int64_t>& timesteps = scheduler_->schedule().timesteps();
  std::vector<DenoisingStep> steps;
  for (std::int64_t i = first_step(); i < std::ssize(timesteps); ++i) {
    steps.push_back({.index = i, .count = std::ssize(timesteps), .timestep = timesteps[static_cast<std::size_t>(i)]});
  }
  return steps;
}

at::Tensor ClipDenoising::text() const {
  const at::Tensor& positive = tensor_in(clip_.embeddings, "prompt_embeds");
  return guides_ ? at::cat({tensor_in(clip_.embeddings, "negative_prompt_embeds"), positive}) : positive;
}

at::Tensor ClipDenoising::input() const {
  return guides_ ? at::cat({latents_, latents_}) : latents_;
}

LayerAttention ClipDenoising::attention_of(const DenoisingStep& step, const std::string& backend) const {
  return clip_.options.attention_of_step ? clip_.options.attention_of_step(step) : full_attention(backend);
}

void ClipDenoising::advance(const DenoisingStep& step, const at::Tensor& prediction) {
  const double guidance = guidance_at(clip_.request, step.index, step.timestep);
  latents_ = timed("scheduler", [&] {
    const auto move = [&](const StepTerms& terms) {
      return guided_step(prediction, guidance, latents_, terms, run_.elementwise);
    };
    return scheduler_->step_by(move, static_cast<std::size_t>(step.index), latents_, generator_).to(run_.dtype);
  });
  const NamedTensors named = latents();
  check_finite(named, step);
  const auto state = [&]() -> DenoisingState {
    return {.steps_done = step.index + 1,
            .latents = named,
            .scheduler = scheduler_->state(),
            .generator = generator_.get_state()};
  };
  if (clip_.options.on_step)
    clip_.options.on_step({.step = step, .guidance_scale = guidance, .latents = named, .state = state});
}

}  // namespace bitreel
