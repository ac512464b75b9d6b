// A picture and its text as the U-ViT knows them, and which of the two a mode makes.
//
//   makes_image(UniDiffuserMode::joint);                                      // true
//   const NamedTensors latents = latents_of(UniDiffuserMode::joint, tensors);
//
// Source: Bao et al., UniDiffuser, arXiv 2303.06555, algorithms 2 to 5; diffusers pipeline_unidiffuser.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "schedulers/noise/named_tensors.h"

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

// VAE latents [B, C, h, w], CLIP's image embedding [B, 1, K], text [B, T, d].
struct JointTensors {
  at::Tensor image_vae, image_clip, text;
};

// By name, those that the mode makes: image_vae_latents, image_clip_latents, text_latents.
NamedTensors latents_of(UniDiffuserMode mode, const JointTensors& tensors);
// The others: image_vae_condition, image_clip_condition, text_condition. And all of it back; Error when one is missing.
NamedTensors conditions_of(UniDiffuserMode mode, const JointTensors& tensors);
JointTensors joint_of(UniDiffuserMode mode, const NamedTensors& latents_and_conditions);

// What the mode makes as one row a sample, [B, n], in the peer's order: VAE, CLIP, text; and back, shaped as in `like`,
// what the mode does not make taken from there.
at::Tensor flat(UniDiffuserMode mode, const JointTensors& tensors);
JointTensors shaped(UniDiffuserMode mode, const at::Tensor& rows, const JointTensors& like);

}  // namespace bitreel
