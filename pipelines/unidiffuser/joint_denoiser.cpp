#include "pipelines/unidiffuser/joint_denoiser.h"

#include <ATen/ATen.h>

#include "pipelines/layers/work_clock.h"

namespace bitreel {
namespace {

// Passes of the U-ViT, to run as one batch.
struct Batch {
  std::vector<at::Tensor> image_vae, image_clip, text, image_timesteps, text_timesteps;

  [[nodiscard]] UVitInput input() const {
    return {.image_vae = at::cat(image_vae),
            .image_clip = at::cat(image_clip),
            .text = at::cat(text),
            .image_timesteps = at::cat(image_timesteps),
            .text_timesteps = at::cat(text_timesteps)};
  }

  void add(const JointTensors& tensors, std::int64_t image_timestep, std::int64_t text_timestep) {
    const auto timesteps = [&](std::int64_t t) {
      return at::full({tensors.text.size(0)}, t, at::TensorOptions(at::kLong));
    };
    image_vae.push_back(tensors.image_vae);
    image_clip.push_back(tensors.image_clip);
    text.push_back(tensors.text);
    image_timesteps.push_back(timesteps(image_timestep));
    text_timesteps.push_back(timesteps(text_timestep));
  }
};

}  // namespace

at::Tensor noise_like(const at::Tensor& like, const at::Generator& generator) {
  return at::randn(like.sizes(), generator, at::TensorOptions(like.scalar_type()).device(generator.device()))
      .to(like.device());
}

std::int64_t passes(UniDiffuserMode mode, double guidance_scale) {
  const bool marginal = mode == UniDiffuserMode::image || mode == UniDiffuserMode::text;
  if (marginal || guidance_scale <= 1.0) return 1;
  return mode == UniDiffuserMode::joint ? 3 : 2;
}

UVitInput JointDenoiser::passes_of(const JointTensors& current, std::int64_t timestep,
                                   const at::Generator& generator) const {
  const UniDiffuserMode mode = guidance_.mode;
  const std::int64_t noise_only = guidance_.pure_noise_timestep;
  const bool image_is_made = makes_image(mode), text_is_made = makes_text(mode);
  const std::int64_t image_timestep = image_is_made ? timestep : mode == UniDiffuserMode::i2t ? 0 : noise_only;
  const std::int64_t text_timestep = text_is_made ? timestep : mode == UniDiffuserMode::t2i ? 0 : noise_only;
  Batch batch;
  batch.add(current, image_timestep, text_timestep);
  if (passes(mode, guidance_.guidance_scale) == 1) return batch.input();
  // The peer's order of draws: VAE, CLIP, text.
  JointTensors noise = current;
  if (text_is_made) {
    noise.image_vae = noise_like(current.image_vae, generator);
    noise.image_clip = noise_like(current.image_clip, generator);
  }
  if (image_is_made) noise.text = noise_like(current.text, generator);
  if (text_is_made) {
    batch.add({.image_vae = noise.image_vae, .image_clip = noise.image_clip, .text = current.text}, noise_only,
              timestep);
  }
  if (image_is_made) {
    batch.add({.image_vae = current.image_vae, .image_clip = current.image_clip, .text = noise.text}, timestep,
              noise_only);
  }
  return batch.input();
}

at::Tensor JointDenoiser::predict(const JointTensors& current, std::int64_t timestep, const at::Generator& generator,
                                  const LayerAttention& attention) const {
  const UniDiffuserMode mode = guidance_.mode;
  const std::int64_t count = passes(mode, guidance_.guidance_scale);
  const UVitInput input = timed("inputs", [&] { return passes_of(current, timestep, generator); });
  const UVitOutput out = uvit_(input, {.attention = attention, .data_type = guidance_.data_type});
  const Timed until_done("scheduler");
  const std::int64_t samples = current.text.size(0);
  const auto of_pass = [&](std::int64_t pass) {
    return JointTensors{.image_vae = out.image_vae.narrow(0, pass * samples, samples),
                        .image_clip = out.image_clip.narrow(0, pass * samples, samples),
                        .text = out.text.narrow(0, pass * samples, samples)};
  };
  at::Tensor conditioned = flat(mode, of_pass(0));
  if (count == 1) return conditioned;
  JointTensors unconditioned = of_pass(1);  // the text's, where text is made; the picture's come last
  if (makes_image(mode)) {
    const JointTensors last = of_pass(count - 1);
    unconditioned.image_vae = last.image_vae;
    unconditioned.image_clip = last.image_clip;
  }
  const double scale = guidance_.guidance_scale;
  return scale * conditioned + (1.0 - scale) * flat(mode, unconditioned);
}

}  // namespace bitreel
