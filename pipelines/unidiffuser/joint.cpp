#include "pipelines/unidiffuser/joint.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <string>

#include "base/error.h"

namespace bitreel {
namespace {

struct Part {
  std::string_view name;
  at::Tensor JointTensors::*tensor;
  bool (*made_by)(UniDiffuserMode mode);
};

constexpr std::array<Part, 3> parts = {{{"image_vae", &JointTensors::image_vae, makes_image},
                                        {"image_clip", &JointTensors::image_clip, makes_image},
                                        {"text", &JointTensors::text, makes_text}}};

}  // namespace

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

NamedTensors latents_of(UniDiffuserMode mode, const JointTensors& tensors) {
  NamedTensors latents;
  for (const Part& part : parts) {
    if (part.made_by(mode)) latents.emplace(fmt::format("{}_latents", part.name), tensors.*part.tensor);
  }
  return latents;
}

NamedTensors conditions_of(UniDiffuserMode mode, const JointTensors& tensors) {
  NamedTensors conditions;
  for (const Part& part : parts) {
    if (!part.made_by(mode)) conditions.emplace(fmt::format("{}_condition", part.name), tensors.*part.tensor);
  }
  return conditions;
}

JointTensors joint_of(UniDiffuserMode mode, const NamedTensors& named) {
  JointTensors tensors;
  for (const Part& part : parts) {
    const std::string name = fmt::format("{}_{}", part.name, part.made_by(mode) ? "latents" : "condition");
    const auto found = named.find(name);
    if (found == named.end())
      throw Error(fmt::format("there is no tensor {}, which mode {} needs", name, name_of(mode)));
    tensors.*part.tensor = found->second;
  }
  return tensors;
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
