// The examples of this room's headers (tests/app/manuals_test.cpp compares).
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>

#include "pipelines/unidiffuser/beam_search.h"
#include "pipelines/unidiffuser/caption_config.h"
#include "pipelines/unidiffuser/caption_decoder.h"
#include "pipelines/unidiffuser/config.h"
#include "pipelines/unidiffuser/cost.h"
#include "pipelines/unidiffuser/joint_denoiser.h"
#include "pipelines/unidiffuser/pipeline.h"
#include "pipelines/unidiffuser/request.h"
#include "pipelines/unidiffuser/stage.h"
#include "pipelines/unidiffuser/uvit.h"
#include "pipelines/unidiffuser/uvit_config.h"
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
  const at::Tensor text = parts.encode_prompt("an elephant under the sea");
  const at::Generator generator = at::detail::createCPUGenerator(3);
  const NamedTensors embeddings = {{"text_embeds", text}};
  const StageOptions in_full{.attention = [](const DenoisingStep&) { return full_attention(); }};
  const JointTensors start = start_of(UniDiffuserMode::t2i, embeddings, 1, parts, generator);
  const JointTensors final =
      denoise_stage({.mode = UniDiffuserMode::t2i, .steps = 2}, start, parts, generator, in_full);
  const at::Tensor image_vae = final.image_vae;
  {
    UniDiffuserParts parts(Checkpoint::open("unidiffuser-v1"), {.dtype = at::kBFloat16});
    const at::Tensor text = parts.encode_prompt("an elephant under the sea");  // [1, 77, 64], as the U-ViT takes it
    const std::vector<Picture> pictures = parts.decode_images(image_vae);      // one a sample
    EXPECT_EQ(pictures.size(), 1U);
  }
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

TEST(UniDiffuserExamples, OfTheUVit) {
  const c10::InferenceMode no_gradients;
  const Checkpoint checkpoint = Checkpoint::open(Golden("unidiffuser").model());
  {
    const UniDiffuserConfig config = read_unidiffuser_config(checkpoint);
    EXPECT_GT(config.resolution(), 0);
  }
  const UVitConfig config = read_uvit_config(checkpoint.config("unet"));
  const at::TensorOptions bf16(at::kBFloat16), whole(at::kLong);
  const at::Tensor z = at::randn({1, config.in_channels, config.sample_size, config.sample_size}, bf16);
  const at::Tensor c = at::randn({1, 1, config.clip_img_dim}, bf16);
  const at::Tensor s = at::randn({1, config.num_text_tokens, config.text_dim}, bf16);
  const at::Tensor t = at::full({1}, 999, whole), zero = at::zeros({1}, whole);
  {
    const UVit uvit(checkpoint.weights("unet"), config, {.dtype = at::kBFloat16});
    const UVitInput input{.image_vae = z, .image_clip = c, .text = s, .image_timesteps = t, .text_timesteps = zero};
    const UVitOutput noise = uvit(input, {});
    EXPECT_EQ(noise.image_vae.sizes(), z.sizes());
  }
  const JointTensors current{.image_vae = z, .image_clip = c, .text = s};
  const std::int64_t timestep = 999;
  const at::Generator generator = at::detail::createCPUGenerator(1);
  const UVit uvit(checkpoint.weights("unet"), config, {.dtype = at::kBFloat16});
  const JointDenoiser denoiser(uvit, {.mode = UniDiffuserMode::joint, .guidance_scale = 8});
  at::Tensor noise = denoiser.predict(current, timestep, generator, full_attention());
  EXPECT_EQ(noise.sizes(), flat(UniDiffuserMode::joint, current).sizes());
}

TEST(UniDiffuserExamples, OfCaptions) {
  const c10::InferenceMode no_gradients;
  const Checkpoint checkpoint = Checkpoint::open(Golden("unidiffuser").model());
  const CaptionConfig config = read_caption_config(checkpoint.config("text_decoder"));
  const at::Tensor states = at::randn({1, config.prefix_length, config.prefix_inner_dim});
  const PrefixEncoder narrow(checkpoint.weights("text_decoder"), config, {});
  at::Tensor latents = narrow(states);
  const CaptionDecoder decoder(checkpoint.weights("text_decoder"), config, {});
  const std::vector<Beam> captions = decoder.caption(latents.narrow(0, 0, 1), {.end_id = 50257});
  EXPECT_EQ(captions.size(), 5U);

  const at::Tensor logits_after_prefix = at::zeros({1, 60'000});
  const auto step = [](const at::Tensor& sources, const at::Tensor&) {
    at::Tensor logits = at::zeros({sources.size(0), 60'000});
    logits.narrow(1, 50257, 1).fill_(100);
    return logits;
  };
  const std::vector<Beam> found = beam_search(logits_after_prefix, step, {.end_id = 50257});
  found.front().tokens;
  EXPECT_EQ(found.front().tokens.back(), 50257);
}

}  // namespace
}  // namespace bitreel
