// Pictures and texts, of each other, together or alone, with a UniDiffuser checkpoint folder.
//
//   UniDiffuser model(Checkpoint::open("unidiffuser-v1"), {.dtype = at::kBFloat16});
//   Request request = model.default_request();              // text to picture
//   request.prompt = "an elephant under the sea";
//   request.steps = 2;                                      // to try it out
//   const NamedTensors latents = model.denoise(request, model.encode(request));
//   model.decode(request, latents, {.on_image = [&](const Frame& picture) { pictures.push_back(picture); }});
//
// Computes what diffusers' UniDiffuserPipeline computes, random numbers included: one generator, drawn from in its
// order, and on through both halves of a variation.
// Embeddings: of a prompt "text_embeds" [1, T, d]; of a picture "image_vae_moments" [1, 2 C, h, w] and
// "image_clip_embeds" [1, 1, K]; of nothing none. Latents: "image_vae_latents" [N, C, h, w], "image_clip_latents"
// [N, 1, K] and "text_latents" [N, T, d], those that the mode denoises, in a variation those of both halves. A
// DenoisingState also holds what its half depends on and does not denoise, as NAME_condition.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipelines/model/pipeline.h"
#include "pipelines/unidiffuser/joint.h"
#include "pipelines/unidiffuser/parts.h"

namespace bitreel {

class UniDiffuser final : public Pipeline {
 public:
  // Error unless the folder is a UniDiffuserPipeline. Without a dtype, the U-ViT's stored one, see default_dtype.
  UniDiffuser(const Checkpoint& checkpoint, RunOptions options);

  [[nodiscard]] const UniDiffuserConfig& config() const { return parts_.config(); }

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
  void decode(const Request& request, const NamedTensors& latents, const DecodeSink& sink) override;

  void release(Phase phase) override;

 private:
  [[nodiscard]] NamedTensors encoded_result(UniDiffuserMode stage, const NamedTensors& latents,
                                            const DenoiseOptions& options);

  mutable UniDiffuserParts parts_;  // remarks() reads the tokenizer
};

OpenPipeline open_unidiffuser;

}  // namespace bitreel
