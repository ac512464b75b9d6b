// A picture and its text as the U-ViT knows them, and which of the two a mode makes.
//
//   const UniDiffuserMode mode = infer_mode({.prompt = true});          // t2i, as the peer infers it
//   makes_image(mode);                                                  // true
//
// Source: Bao et al., UniDiffuser, arXiv 2303.06555, algorithms 2 to 5; diffusers pipeline_unidiffuser.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bitreel {

// Of a text a picture, of a picture a text, both, or one of them out of nothing.
enum class UniDiffuserMode { t2i, i2t, joint, image, text };

std::string_view name_of(UniDiffuserMode mode);
inline bool makes_image(UniDiffuserMode mode) {
  return mode != UniDiffuserMode::i2t && mode != UniDiffuserMode::text;
}
inline bool makes_text(UniDiffuserMode mode) {
  return mode != UniDiffuserMode::t2i && mode != UniDiffuserMode::image;
}

struct GivenInputs {
  bool prompt = false;
  bool image = false;
};

// A prompt wins over a picture; without either, joint.
UniDiffuserMode infer_mode(GivenInputs given);

// VAE latents [B, C, h, w], CLIP's image embedding [B, 1, K], text [B, T, d].
struct JointTensors {
  at::Tensor image_vae, image_clip, text;
};

// By name, those that the mode makes: image_vae_latents, image_clip_latents, text_latents.
std::map<std::string, at::Tensor> latents_of(UniDiffuserMode mode, const JointTensors& tensors);

// What the mode makes as one row a sample, [B, n], in the peer's order: VAE, CLIP, text; and back, shaped as in `like`,
// what the mode does not make taken from there.
at::Tensor flat(UniDiffuserMode mode, const JointTensors& tensors);
JointTensors shaped(UniDiffuserMode mode, const at::Tensor& rows, const JointTensors& like);

}  // namespace bitreel
