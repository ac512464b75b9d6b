// Text to video with a CogVideoX checkpoint folder.
//
//   CogVideoX model(Checkpoint::open("assets/pocket"), {.dtype = at::kFloat});
//   Request request = model.default_request();
//   request.prompt = "a red circle moves right on a navy background";
//   request.steps = 2;
//   const NamedTensors latents = model.denoise(request, model.encode(request));
//   model.decode(request, latents, {.on_frame = [&](const Frame& frame) { video.push(frame); }});
//
// Computes what diffusers' CogVideoXPipeline computes, random numbers included (pipeline_cogvideox.py).
// Embeddings: "prompt_embeds" and, with guidance, "negative_prompt_embeds", [1, text tokens, text_dim].
// Latents: "latents", [1, F, C, H/s, W/s], padding frames included.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipelines/checkpoint/loader.h"
#include "pipelines/cogvideox/config.h"
#include "pipelines/model/pipeline.h"

namespace bitreel {

class T5Tokenizer;

class CogVideoX final : public Pipeline {
 public:
  // Error unless the folder is a CogVideoXPipeline. Without a dtype, the transformer's stored one, see default_dtype.
  CogVideoX(const Checkpoint& checkpoint, const RunOptions& options);
  ~CogVideoX() override;

  [[nodiscard]] const CogVideoXConfig& config() const;

  [[nodiscard]] Request default_request() const override;
  [[nodiscard]] Request request_of(const NamedTensors& latents) const override;
  void check(const Request& request) const override;
  [[nodiscard]] std::vector<std::string> remarks(const Request& request) const override;
  [[nodiscard]] std::vector<std::int64_t> timesteps(const Request& request) const override;
  [[nodiscard]] LatentShapes latent_shapes(const Request& request) const override;
  [[nodiscard]] Cost cost(const Request& request) const override;
  [[nodiscard]] Elementwise elementwise() const override;

  NamedTensors encode(const Request& request) override;
  NamedTensors denoise(const Request& request, const NamedTensors& embeddings,
                       const DenoiseOptions& options = {}) override;
  [[nodiscard]] bool shares_batch(const Request& a, const Request& b) const override;
  std::vector<NamedTensors> denoise_together(const std::vector<Denoising>& clips) override;
  // Frames come one VAE frame batch after the other; the whole clip is never held as float. Latent frames in front that
  // request.num_frames doesn't account for are padding and are dropped.
  void decode(const Request& request, const NamedTensors& latents, const DecodeSink& sink) override;

  void release(Phase phase) override;

 private:
  struct Parts;
  CogVideoX(const Checkpoint& checkpoint, const RunOptions& options, CogVideoXConfig config);
  [[nodiscard]] LoadOptions load_options(const std::string& component) const;
  // With `offload` model the parts of the other phases leave the device, for good when no copy is to be kept.
  void take_turn(Phase phase);
  struct Tiles {
    bool used = false;
    std::string why = {};  // of an automatic choice
  };
  // As memory is now.
  [[nodiscard]] Tiles tiles_for(const Request& request) const;
  [[nodiscard]] const T5Tokenizer& tokenizer() const;

  std::unique_ptr<Parts> parts_;
};

OpenPipeline open_cogvideox;

}  // namespace bitreel
