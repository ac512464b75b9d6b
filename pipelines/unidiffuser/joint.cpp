#include "pipelines/unidiffuser/joint.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace bitreel {

std::string_view name_of(UniDiffuserMode mode) {
  switch (mode) {
    case UniDiffuserMode::t2i:
      return "t2i";
    case UniDiffuserMode::i2t:
      return "i2t";
    case UniDiffuserMode::joint:
      return "joint";
    case UniDiffuserMode::image:
      return "image";
    case UniDiffuserMode::text:
      return "text";
  }
  throw Error("unknown mode");
}

UniDiffuserMode infer_mode(GivenInputs given) {
  if (given.prompt) return UniDiffuserMode::t2i;
  return given.image ? UniDiffuserMode::i2t : UniDiffuserMode::joint;
}

std::map<std::string, at::Tensor> latents_of(UniDiffuserMode mode, const JointTensors& tensors) {
  std::map<std::string, at::Tensor> latents;
  if (makes_image(mode))
    latents = {{"image_vae_latents", tensors.image_vae}, {"image_clip_latents", tensors.image_clip}};
  if (makes_text(mode)) latents.emplace("text_latents", tensors.text);
  return latents;
}

at::Tensor flat(UniDiffuserMode mode, const JointTensors& tensors) {
  std::vector<at::Tensor> rows;
  if (makes_image(mode)) rows = {tensors.image_vae.flatten(1), tensors.image_clip.flatten(1)};
  if (makes_text(mode)) rows.push_back(tensors.text.flatten(1));
  return at::cat(rows, 1);
}

JointTensors shaped(UniDiffuserMode mode, const at::Tensor& rows, const JointTensors& like) {
  JointTensors tensors = like;
  std::int64_t begin = 0;
  const auto take = [&](at::Tensor& part) {
    const std::int64_t length = part.numel() / part.size(0);
    part = rows.narrow(1, begin, length).reshape(part.sizes());
    begin += length;
  };
  if (makes_image(mode)) {
    take(tensors.image_vae);
    take(tensors.image_clip);
  }
  if (makes_text(mode)) take(tensors.text);
  return tensors;
}

}  // namespace bitreel
