// Every mode against diffusers', from prompt or picture to picture or text; variations; folders that don't fit.
#include "pipelines/unidiffuser/unidiffuser.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

UniDiffuserMode mode_named(const std::string& name) {
  for (const UniDiffuserMode mode : {UniDiffuserMode::t2i, UniDiffuserMode::i2t, UniDiffuserMode::joint,
                                     UniDiffuserMode::image, UniDiffuserMode::text}) {
    if (name_of(mode) == name) return mode;
  }
  throw std::runtime_error("no mode " + name);
}

Picture picture_of(const at::Tensor& rgb) {
  const at::Tensor whole = rgb.contiguous();
  const auto* data = whole.const_data_ptr<std::uint8_t>();
  return {.width = whole.size(1), .height = whole.size(0), .rgb = {data, data + whole.numel()}};
}

JointRequest request_of(const json& golden, const Picture& picture) {
  JointRequest request;
  request.mode = mode_named(golden["mode"]);
  if (golden.contains("prompt")) request.prompt = golden["prompt"].get<std::string>();
  if (golden.contains("image")) request.picture = picture;
  request.steps = golden["steps"];
  request.guidance_scale = golden["guidance_scale"];
  request.count = golden.value("count", 1);
  return request;
}

void expect_picture(const Picture& ours, const at::Tensor& rgb) {
  const at::Tensor apart = (to_tensor(ours).squeeze(0).permute({1, 2, 0}) - rgb.to(at::kFloat)).abs();
  EXPECT_LE(apart.max().item<double>(), tolerance::pixel);
  EXPECT_LT(apart.mean().item<double>(), 0.1);
}

class EveryMode : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{GetParam()};
  Picture picture = picture_of(golden.tensor("picture", "picture"));
  UniDiffuser model{Checkpoint::open(golden.model()), {.dtype = at::kFloat}};
};

TEST_P(EveryMode, EqualsThePeerStageByStage) {
  for (const auto& [name, wanted] : golden.json()["requests"].items()) {
    SCOPED_TRACE(name);
    const JointRequest request = request_of(wanted, picture);
    EXPECT_EQ(model.timesteps(request.steps), wanted["timesteps"].get<std::vector<std::int64_t>>());
    at::Generator generator = at::detail::createCPUGenerator(wanted["seed"].get<std::uint64_t>());
    const JointTensors start = model.encode(request, generator);
    golden.expect(start.image_vae, name, "first_call.image_vae_latents", tolerance::vae);
    golden.expect(start.image_clip, name, "first_call.image_clip_latents", tolerance::vae);
    golden.expect(start.text, name, "first_call.text_latents", tolerance::vae);
    std::int64_t steps = 0;
    const JointTensors final = model.denoise(
        request, start, generator, {.on_step = [&](const JointEvent& event) {
          EXPECT_EQ(event.step.index, steps++);
          const at::Tensor stored = golden.tensor(name, "step." + std::to_string(event.step.index) + ".latents");
          const at::Tensor ours = flat(request.mode, event.latents);
          EXPECT_LE(worst_share(ours, stored.reshape(ours.sizes())), tolerance::latents) << "step " << event.step.index;
        }});
    EXPECT_EQ(steps, static_cast<std::int64_t>(wanted["timesteps"].size()));
    for (const auto& [part, latents] : latents_of(request.mode, final))
      golden.expect(latents, name, part, tolerance::latents);
    if (makes_image(request.mode)) {
      golden.expect(model.decode_pixels(golden.tensor(name, "image_vae_latents")), name, "decoded", tolerance::vae);
      const at::Tensor pixels = golden.tensor(name, "pixels");
      const std::vector<Picture> pictures = model.decode_images(final.image_vae);
      ASSERT_EQ(static_cast<std::int64_t>(pictures.size()), pixels.size(0));
      for (std::int64_t i = 0; i < pixels.size(0); ++i)
        expect_picture(pictures[static_cast<std::size_t>(i)], pixels[i]);
    }
    if (makes_text(request.mode)) {
      std::vector<std::string> texts;
      for (const Caption& caption : model.decode_texts(final.text)) texts.push_back(caption.text);
      EXPECT_EQ(texts, wanted["text"].get<std::vector<std::string>>());
    }
  }
}

TEST_P(EveryMode, VariesPicturesAndTextsAsThePeerDoesInTwoCalls) {
  const auto run = [&](const JointRequest& request, at::Generator& generator) {
    return model.denoise(request, model.encode(request, generator), generator, {});
  };
  const json of_image = golden.json()["image_variation"], of_text = golden.json()["text_variation"];
  JointRequest reads, draws;
  reads.mode = UniDiffuserMode::i2t;
  draws.mode = UniDiffuserMode::t2i;
  for (JointRequest* request : {&reads, &draws}) {
    request->steps = of_image["steps"];
    request->guidance_scale = of_image["guidance_scale"];
  }
  at::Generator generator = at::detail::createCPUGenerator(of_image["seed"].get<std::uint64_t>());
  reads.picture = picture;
  draws.prompt = model.decode_texts(run(reads, generator).text).front().text;
  EXPECT_EQ(*draws.prompt, of_image["text"][0].get<std::string>());
  const JointTensors drawn = run(draws, generator);
  golden.expect(drawn.image_vae, "variations", "image.image_vae_latents", tolerance::latents);
  expect_picture(model.decode_images(drawn.image_vae).front(), golden.tensor("variations", "image.pixels")[0]);

  generator = at::detail::createCPUGenerator(of_text["seed"].get<std::uint64_t>());
  draws.prompt = of_text["prompt"].get<std::string>();
  const Picture made = model.decode_images(run(draws, generator).image_vae).front();
  expect_picture(made, golden.tensor("variations", "text.pixels")[0]);
  // From the peer's very bytes: a pixel that rounds the other way is another picture.
  reads.picture = picture_of(golden.tensor("variations", "text.pixels")[0]);
  const JointTensors read = run(reads, generator);
  golden.expect(read.text, "variations", "text.text_latents", tolerance::latents);
  EXPECT_EQ(model.decode_texts(read.text).front().text, of_text["text"][0].get<std::string>());
}

TEST_P(EveryMode, GoesOnFromAnyStepToTheSameBits) {
  for (const char* mode : {"t2i", "i2t", "joint", "image", "text"}) {
    SCOPED_TRACE(mode);
    const json wanted = golden.json()["requests"][mode];
    const JointRequest request = request_of(wanted, picture);
    at::Generator generator = at::detail::createCPUGenerator(wanted["seed"].get<std::uint64_t>());
    const JointTensors start = model.encode(request, generator);
    std::vector<JointState> states;
    const JointTensors whole = model.denoise(
        request, start, generator, {.on_step = [&](const JointEvent& event) { states.push_back(event.state()); }});
    at::Generator other = at::detail::createCPUGenerator(99);
    const JointTensors rest = model.denoise(request, start, other, {.from = states[1]});
    EXPECT_TRUE(at::equal(flat(request.mode, rest), flat(request.mode, whole)));
    EXPECT_THAT(error_text([&] { (void)model.denoise(request, start, other, {.from = states.back()}); }),
                HasSubstr("the state is of another request"));
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, EveryMode, testing::Values("unidiffuser", "unidiffuser_v0"),
                         [](const auto& info) { return info.param; });

TEST(UniDiffuserRequests, NameTheInputThatIsMissingOrTooMuch) {
  const UniDiffuserConfig config = read_unidiffuser_config(Checkpoint::open(Golden("unidiffuser").model()));
  const Picture dot{.width = 1, .height = 1, .rgb = {1, 2, 3}};
  const auto refusal = [&](const JointRequest& request) {
    return error_text<UsageError>([&] { check(request, config); });
  };
  EXPECT_THAT(refusal({.mode = UniDiffuserMode::t2i}),
              HasSubstr("mode t2i makes a picture of a prompt, and there is none"));
  EXPECT_THAT(refusal({.mode = UniDiffuserMode::i2t}), HasSubstr("mode i2t makes a text of a picture"));
  EXPECT_THAT(refusal({.mode = UniDiffuserMode::joint, .prompt = "a"}), HasSubstr("mode joint takes no prompt"));
  EXPECT_THAT(refusal({.mode = UniDiffuserMode::t2i, .prompt = "a", .picture = dot}),
              HasSubstr("mode t2i takes no picture"));
  EXPECT_THAT(refusal({.mode = UniDiffuserMode::text, .steps = 0}), HasSubstr("--steps 0"));
  EXPECT_THAT(refusal({.mode = UniDiffuserMode::text, .guidance_scale = -1}), HasSubstr("--guidance-scale -1"));
  EXPECT_THAT(refusal({.mode = UniDiffuserMode::text, .count = 0}), HasSubstr("0 samples"));
  EXPECT_EQ(infer_mode({.prompt = true, .image = true}), UniDiffuserMode::t2i);
  EXPECT_EQ(infer_mode({.image = true}), UniDiffuserMode::i2t);
  EXPECT_EQ(infer_mode({}), UniDiffuserMode::joint);
}

TEST(UniDiffuserFolders, ThatAreHalfAnotherModelSaySo) {
  const test::TemporaryFolder folder;
  std::filesystem::copy(Golden("unidiffuser").model(), folder.path(), std::filesystem::copy_options::recursive);
  const json index = read_json(folder / "model_index.json");
  const auto refusal = [&](const json& changed) {
    test::write_text(folder / "model_index.json", changed.dump());
    return error_text([&] { (void)read_unidiffuser_config(Checkpoint::open(folder.path())); });
  };
  json changed = index;
  changed["_class_name"] = "CogVideoXPipeline";
  EXPECT_THAT(refusal(changed), HasSubstr("model_index.json says CogVideoXPipeline, expected UniDiffuserPipeline"));
  changed = index;
  changed["vae"][1] = "AutoencoderKLCogVideoX";
  EXPECT_THAT(refusal(changed), HasSubstr("vae is a AutoencoderKLCogVideoX, expected AutoencoderKL"));
  changed = index;
  changed.erase("unet");
  changed["transformer"] = {"diffusers", "CogVideoXTransformer3DModel"};
  EXPECT_THAT(refusal(changed), AllOf(HasSubstr("names no unet"), HasSubstr("transformer")));
  json unet = read_json(folder / "unet/config.json");
  unet["text_dim"] = 17;
  test::write_text(folder / "unet/config.json", unet.dump());
  EXPECT_THAT(refusal(index), HasSubstr("text_dim is 17, expected 16, the text decoder's prefix width"));
}

}  // namespace
}  // namespace bitreel
