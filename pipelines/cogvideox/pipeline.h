// Text to video with a CogVideoX checkpoint folder: encode the prompt, denoise latents, decode frames.
//
//   const Checkpoint checkpoint = Checkpoint::open("assets/pocket");
//   CogVideoX model(checkpoint, {.dtype = at::kBFloat16});
//   const at::Tensor text = model.encode_text(request);                  // [2, 226, text_dim]: negative, positive
//   const at::Tensor latents = model.denoise(request, text, on_step);    // [1, F, C, H/s, W/s]
//   model.decode(latents, request.num_frames, [&](const Frame& frame) { video.push(frame); });
//
// Computes what diffusers' CogVideoXPipeline computes, random numbers included (pipelines.md A to C.2).
// Each phase loads its own weights and lets them go, so the memory peak is the largest phase, not the sum.
// Errors: Error for a checkpoint that doesn't fit its configs; Error naming the step when latents stop being finite.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/cogvideox/config.h"
#include "pipelines/cogvideox/elementwise.h"
#include "pipelines/cogvideox/request.h"
#include "pipelines/model/layer_attention.h"
#include "pipelines/video/frame.h"

namespace bitreel {

struct ModelOptions {
  at::ScalarType dtype = at::kBFloat16;
  at::Device device = at::kCPU;
  std::string attention_backend = {};  // of a denoising without attention_of_step, by name; the best when empty
  Elementwise elementwise = Elementwise::fused;
  bool vae_tiling = false;   // decode in overlapping tiles of half the sample size: less memory, other numbers
  bool vae_slicing = false;  // decode a batch one clip at a time; a single clip is one slice already
};

// Between two steps: all that the rest of a denoising follows from.
struct DenoisingState {
  std::int64_t steps_done = 0;
  at::Tensor latents;            // the sample that the next step starts from
  at::Tensor previous_original;  // what a multistep scheduler remembers; undefined for others
  at::Tensor generator;          // LibTorch's own, as bytes
};

// Sent after each denoising step; the latents are the sample that the next step starts from.
struct StepEvent {
  DenoisingStep step;
  double guidance_scale = 0;
  at::Tensor latents;
  std::function<DenoisingState()> state;
};

using StepCallback = std::function<void(const StepEvent&)>;
using FrameCallback = std::function<void(const Frame&)>;

// The training timesteps that a request's denoising visits, in order.
std::vector<std::int64_t> timesteps_of(const Request& request, const CogVideoXConfig& config);

class CogVideoX {
 public:
  CogVideoX(const Checkpoint& checkpoint, ModelOptions options);
  ~CogVideoX();

  [[nodiscard]] const CogVideoXConfig& config() const;

  // The text embeddings of one clip, [negative; positive] when guidance runs, else [positive].
  at::Tensor encode_text(const Request& request);
  // The final latents, [1, F, C, H, W] in the model's dtype, padding frames included, as the peer's
  // output_type="latent".
  // attention_of_step: full precision everywhere when empty. from: goes on after the steps that the state has done, to
  // the same latents, bit for bit, as if nothing had happened in between.
  at::Tensor denoise(const Request& request, const at::Tensor& text, const StepCallback& on_step,
                     const StepAttention& attention_of_step = {}, const std::optional<DenoisingState>& from = {});
  // Sends the clip's frames in order, one VAE frame batch after the other; the whole clip is never held as float.
  // num_frames: of the request; latent frames in front that it doesn't account for are padding and are dropped.
  void decode(const at::Tensor& latents, std::int64_t num_frames, const FrameCallback& on_frame);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace bitreel
