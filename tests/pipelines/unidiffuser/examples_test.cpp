// The examples of this room's headers, as they stand there.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>

#include "pipelines/unidiffuser/cost.h"
#include "pipelines/unidiffuser/pipeline.h"
#include "pipelines/unidiffuser/request.h"
#include "pipelines/unidiffuser/stage.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

// Makes "unidiffuser-v1" the tiny model, whatever the examples say of v1's sizes.
struct TinyCheckpoint {
  static bitreel::Checkpoint open(const std::string&) {
    return bitreel::Checkpoint::open(Golden("unidiffuser").model());
  }
};

TEST(UniDiffuserExamples, OfThePipeline) {
  using Checkpoint = TinyCheckpoint;
  std::vector<Frame> pictures;
  UniDiffuser model(Checkpoint::open("unidiffuser-v1"), {.dtype = at::kBFloat16});
  Request request = model.default_request();  // text to picture
  request.prompt = "an elephant under the sea";
  request.steps = 2;
  const NamedTensors latents = model.denoise(request, model.encode(request));
  model.decode(request, latents, {.on_image = [&](const Frame& picture) { pictures.push_back(picture); }});
  EXPECT_EQ(pictures.size(), 1U);
  const UniDiffuserConfig& config = model.config();
  const RunOptions options = model.options();
  const Cost cost = cost_of(request, config, options);
  cost.attention;  // v1, guided: [2, 24, 1105, 64]
  EXPECT_EQ(cost.attention.batch, 2);
}

TEST(UniDiffuserExamples, OfItsPieces) {
  using Checkpoint = TinyCheckpoint;
  UniDiffuserParts parts(Checkpoint::open("unidiffuser-v1"), {.dtype = at::kBFloat16});
  const at::Tensor text = parts.encode_prompt("an elephant under the sea");  // [1, 77, 64], as the U-ViT takes it
  const at::Generator generator = at::detail::createCPUGenerator(3);
  const NamedTensors embeddings = {{"text_embeds", text}};
  const JointTensors start = start_of(UniDiffuserMode::t2i, embeddings, 1, parts, generator);
  const StageOptions in_full{.attention = [](const DenoisingStep&) { return full_attention(); }};
  const JointTensors final =
      denoise_stage({.mode = UniDiffuserMode::t2i, .steps = 2}, start, parts, generator, in_full);
  const at::Tensor image_vae = final.image_vae;
  const std::vector<Picture> pictures = parts.decode_images(image_vae);  // one a sample
  EXPECT_EQ(pictures.size(), 1U);
  const UniDiffuserConfig& config = parts.config();
  Request request = default_request(config);  // text to picture, 50 steps, guidance 8, as the peer would choose
  request.prompt = "an elephant under the sea";
  check(request, config);  // UsageError naming the flag and the nearest valid value
  EXPECT_EQ(request.steps, 50);
  const JointTensors& tensors = final;
  makes_image(UniDiffuserMode::joint);  // true
  const NamedTensors latents = latents_of(UniDiffuserMode::joint, tensors);
  EXPECT_EQ(latents.size(), 3U);
}

}  // namespace
}  // namespace bitreel
