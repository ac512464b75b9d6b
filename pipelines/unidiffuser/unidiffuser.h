// Pictures and texts, of each other, together or alone, with a UniDiffuser checkpoint folder.
//
//   UniDiffuser model(Checkpoint::open("unidiffuser-v1"), {.dtype = at::kBFloat16});
//   at::Generator generator = at::detail::createCPUGenerator(42);
//   const JointRequest request{.mode = UniDiffuserMode::t2i, .prompt = "an elephant under the sea"};
//   const JointTensors start = model.encode(request, generator);
//   const auto latents = model.denoise(request, start, generator, {});
//   const std::vector<Picture> pictures = model.decode_images(latents);
//
// Computes what diffusers' UniDiffuserPipeline computes, random numbers included, from one generator that encode() and
// denoise() draw from in turn. A variation is two requests with a generator that goes on: i2t, then t2i of the caption.
// Each phase loads its own weights and lets them go, so the memory peak is the largest phase, not the sum.
// Errors: Error for a checkpoint that doesn't fit its configs; Error naming the step when latents stop being finite;
// UsageError for a mode whose input is missing or superfluous.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/model/layer_attention.h"
#include "pipelines/unidiffuser/config.h"
#include "pipelines/unidiffuser/joint.h"

namespace bitreel {

struct UniDiffuserOptions {
  at::ScalarType dtype = at::kBFloat16;
  at::Device device = at::kCPU;
  std::string attention_backend = {};  // by name, for calls of its arithmetic; the best when empty
  bool vae_tiling = false;
};

struct JointRequest {
  UniDiffuserMode mode = UniDiffuserMode::t2i;
  std::optional<std::string> prompt = {};  // t2i only
  std::optional<Picture> picture = {};     // i2t only
  std::int64_t steps = 50;
  double guidance_scale = 8.0;  // on when > 1
  std::int64_t count = 1;       // samples
};

// Steps, guidance and count; and also that the mode's input is there and no other.
void check_settings(const JointRequest& request, const UniDiffuserConfig& config);
void check(const JointRequest& request, const UniDiffuserConfig& config);

struct Caption {
  std::string text;
  bool ended = true;  // false: the decoder did not stop by itself and was cut
};

// Between two steps: all that the rest of a denoising follows from, beside its start.
struct JointState {
  std::int64_t steps_done = 0;
  at::Tensor rows;                              // the samples that the next step starts from, as flat() has them
  std::map<std::string, at::Tensor> scheduler;  // MultistepDpm::state
  at::Tensor generator;                         // LibTorch's own, as bytes
};

// Sent after each step.
struct JointEvent {
  DenoisingStep step;
  JointTensors latents;
  std::function<JointState()> state;
};

struct JointDenoising {
  std::function<void(const JointEvent&)> on_step = {};
  StepAttention attention_of_step = {};  // full precision everywhere when empty
  std::optional<JointState> from = {};
};

class UniDiffuser {
 public:
  UniDiffuser(Checkpoint checkpoint, UniDiffuserOptions options);

  [[nodiscard]] const UniDiffuserConfig& config() const { return config_; }
  [[nodiscard]] std::vector<std::int64_t> timesteps(std::int64_t steps) const;

  // What the loop starts from: noise for what is made, the encoded prompt or picture, noise that stays.
  JointTensors encode(const JointRequest& request, at::Generator& generator) const;
  // The final latents and the conditions, unchanged.
  JointTensors denoise(const JointRequest& request, const JointTensors& start, at::Generator& generator,
                       const JointDenoising& options) const;
  // One a sample.
  [[nodiscard]] std::vector<Picture> decode_images(const at::Tensor& image_vae) const;
  [[nodiscard]] std::vector<Caption> decode_texts(const at::Tensor& text) const;
  // The VAE's own output, about -1..1.
  [[nodiscard]] at::Tensor decode_pixels(const at::Tensor& image_vae) const;

 private:
  [[nodiscard]] LoadOptions load_options() const { return {.dtype = options_.dtype, .device = options_.device}; }
  [[nodiscard]] at::Tensor encode_prompt(const std::string& prompt) const;
  [[nodiscard]] at::Tensor encode_for_vae(const Picture& picture, const at::Generator& generator) const;
  [[nodiscard]] at::Tensor encode_for_clip(const Picture& picture) const;

  Checkpoint checkpoint_;
  UniDiffuserOptions options_;
  UniDiffuserConfig config_;
};

}  // namespace bitreel
