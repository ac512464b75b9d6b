#include "pipelines/unidiffuser/stage.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "pipelines/layers/work_clock.h"
#include "pipelines/unidiffuser/joint_denoiser.h"
#include "schedulers/noise/multistep_dpm.h"

namespace bitreel {
namespace {

at::Tensor repeated(const at::Tensor& one, std::int64_t count) {
  std::vector<std::int64_t> times(static_cast<std::size_t>(one.dim()), 1);
  times[0] = count;
  return one.repeat(times);
}

const at::Tensor& tensor_in(const NamedTensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw Error(fmt::format("the embeddings hold no {}, which this mode takes", name));
  return found->second;
}

}  // namespace

JointTensors start_of(UniDiffuserMode mode, const NamedTensors& encoded, std::int64_t count, UniDiffuserParts& parts,
                      const at::Generator& generator) {
  const UniDiffuserConfig& config = parts.config();
  const std::int64_t side = config.uvit.sample_size;
  // Noise is drawn on the CPU in the model's dtype, then moved: the only numbers that every machine agrees on.
  const auto noise = [&](at::IntArrayRef shape) {
    return at::randn(shape, generator, at::TensorOptions(parts.dtype())).to(parts.device());
  };
  JointTensors start;
  // Text noise is as wide as CLIP's states and goes through the prefix, like these: so the peer has it.
  start.text = mode == UniDiffuserMode::t2i
                   ? repeated(tensor_in(encoded, "text_embeds"), count)
                   : parts.narrowed(noise({count, config.uvit.num_text_tokens, config.text_decoder.prefix_inner_dim}));
  if (mode == UniDiffuserMode::i2t) {
    const at::Tensor drawn = sampled(tensor_in(encoded, "image_vae_moments"), generator) * config.vae.scaling_factor;
    start.image_vae = repeated(drawn, count);
    start.image_clip = repeated(tensor_in(encoded, "image_clip_embeds"), count);
  } else {
    start.image_vae = noise({count, config.vae.latent_channels, side, side});
    start.image_clip = noise({count, 1, config.uvit.clip_img_dim});
  }
  return start;
}

JointTensors denoise_stage(const Stage& stage, const JointTensors& start, UniDiffuserParts& parts,
                           const at::Generator& generator, const StageOptions& options) {
  MultistepDpm scheduler(parts.config().scheduler, stage.steps);
  const JointDenoiser denoiser(parts.uvit(), {.mode = stage.mode,
                                              .guidance_scale = stage.guidance_scale,
                                              .pure_noise_timestep = parts.config().scheduler.num_train_timesteps});
  const JointTensors& begun = options.from ? options.from->tensors : start;
  if (options.from) scheduler.restore(options.from->scheduler);
  at::Tensor rows = flat(stage.mode, begun);
  const std::vector<std::int64_t>& timesteps = scheduler.timesteps();
  const auto count = static_cast<std::int64_t>(timesteps.size());
  for (std::int64_t i = options.from ? options.from->steps_done : 0; i < count; ++i) {
    const DenoisingStep step{.index = i, .count = count, .timestep = timesteps[static_cast<std::size_t>(i)]};
    const at::Tensor prediction =
        denoiser.predict(shaped(stage.mode, rows, begun), step.timestep, generator, options.attention(step));
    rows = timed("scheduler", [&] { return scheduler.step(prediction, static_cast<std::size_t>(i), rows, generator); });
    if (options.on_step) {
      options.on_step(
          step, {.steps_done = i + 1, .tensors = shaped(stage.mode, rows, begun), .scheduler = scheduler.state()});
    }
  }
  return shaped(stage.mode, rows, begun);
}

}  // namespace bitreel
