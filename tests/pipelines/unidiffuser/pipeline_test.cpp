// Every mode against diffusers', from prompt or picture to picture or text; variations; folders that don't fit.
#include "pipelines/unidiffuser/pipeline.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <optional>
#include <string>
#include <vector>

#include "base/json_file.h"
#include "pipelines/unidiffuser/request.h"
#include "pipelines/unidiffuser/stage.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/pipelines/unidiffuser/results.h"
#include "tests/temporary_folder.h"
#include "tests/test_device.h"

namespace bitreel {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

Picture picture_of(const at::Tensor& rgb) {
  const at::Tensor whole = rgb.contiguous();
  const auto* data = whole.const_data_ptr<std::uint8_t>();
  return {.width = whole.size(1), .height = whole.size(0), .rgb = {data, data + whole.numel()}};
}

Request request_of(const UniDiffuser& model, const json& golden, const Picture& picture) {
  Request request = model.default_request();
  request.mode = golden["mode"];
  request.prompt = golden.value("prompt", "");
  if (golden.contains("image")) request.picture = picture;
  request.seed = golden["seed"];
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

// LibTorch looks for its CUDA library once, at the first convolution; other tests of this binary must not come first.
class DeviceBeforeAnyTest : public testing::Environment {
  void SetUp() override { (void)test_device(); }
};
[[maybe_unused]] const testing::Environment* const device_before_any_test =
    testing::AddGlobalTestEnvironment(new DeviceBeforeAnyTest);

class EveryMode : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{GetParam()};
  Picture picture = picture_of(golden.tensor("picture", "picture"));
  UniDiffuser model{Checkpoint::open(golden.model()), {.dtype = at::kFloat, .device = test_device()}};
  UniDiffuserParts parts{model.checkpoint(), model.options()};

  // Of a variation; what is the same in both of them.
  Request variation(const std::string& mode, const json& wanted) {
    Request request = model.default_request();
    request.mode = mode;
    request.seed = wanted["seed"];
    request.steps = wanted["steps"];
    request.guidance_scale = wanted["guidance_scale"];
    request.prompt = wanted.value("prompt", "");
    if (!wanted.contains("prompt")) request.picture = picture;
    return request;
  }
};

TEST_P(EveryMode, EqualsThePeerStageByStage) {
  for (const auto& item : golden.json()["requests"].items()) {
    const std::string& name = item.key();
    const json& wanted = item.value();
    SCOPED_TRACE(name);
    const Request request = request_of(model, wanted, picture);
    const UniDiffuserMode mode = stages_of(request.mode).front();
    EXPECT_EQ(model.timesteps(request), wanted["timesteps"].get<std::vector<std::int64_t>>());
    const NamedTensors embeddings = model.encode(request);
    const JointTensors start =
        start_of(mode, embeddings, request.count, parts, at::detail::createCPUGenerator(request.seed));
    golden.expect(start.image_vae, name, "first_call.image_vae_latents", tolerance::vae);
    golden.expect(start.image_clip, name, "first_call.image_clip_latents", tolerance::vae);
    golden.expect(start.text, name, "first_call.text_latents", tolerance::vae);
    std::int64_t steps = 0;
    const NamedTensors final = model.denoise(
        request, embeddings, {.on_step = [&](const StepEvent& event) {
          EXPECT_EQ(event.step.index, steps++);
          const at::Tensor stored = golden.tensor(name, "step." + std::to_string(event.step.index) + ".latents");
          const at::Tensor ours = flat(mode, joint_of(mode, event.state().latents));
          EXPECT_LE(worst_share(ours, stored.reshape(ours.sizes())), tolerance::latents) << "step " << event.step.index;
        }});
    EXPECT_EQ(steps, static_cast<std::int64_t>(wanted["timesteps"].size()));
    EXPECT_EQ(final.size(), model.latent_shapes(request).size());
    for (const auto& [part, latents] : final) {
      EXPECT_EQ(latents.sizes(), at::IntArrayRef(model.latent_shapes(request).at(part)));
      golden.expect(latents, name, part, tolerance::latents);
    }
    Results results;
    model.decode(request, final, results.sink());
    if (makes_image(mode)) {
      golden.expect(parts.decode_pixels(golden.tensor(name, "image_vae_latents")), name, "decoded", tolerance::vae);
      const at::Tensor pixels = golden.tensor(name, "pixels");
      ASSERT_EQ(std::ssize(results.pictures), pixels.size(0));
      for (std::int64_t i = 0; i < pixels.size(0); ++i)
        expect_picture(results.pictures[static_cast<std::size_t>(i)], pixels[i]);
    }
    if (makes_text(mode)) {
      EXPECT_EQ(results.texts, wanted["text"].get<std::vector<std::string>>());
    }
  }
}

TEST_P(EveryMode, VariesPicturesAsThePeerDoesInTwoCalls) {
  const json wanted = golden.json()["image_variation"];
  const Request request = variation("image-variation", wanted);
  Results results;
  const NamedTensors latents = model.denoise(request, model.encode(request), {.on_remark = results.sink().on_remark});
  const std::string caption = wanted["text"][0];
  EXPECT_THAT(results.remarks, testing::Contains(HasSubstr(caption)));
  golden.expect(latents.at("image_vae_latents"), "variations", "image.image_vae_latents", tolerance::latents);
  EXPECT_EQ(parts.decode_texts(latents.at("text_latents")).front().text, caption);
  model.decode(request, latents, results.sink());
  expect_picture(results.pictures.at(0), golden.tensor("variations", "image.pixels")[0]);
  EXPECT_THAT(results.texts, testing::IsEmpty());
}

TEST_P(EveryMode, VariesTextsAsThePeerDoesInTwoCalls) {
  const json wanted = golden.json()["text_variation"];
  const Request request = variation("text-variation", wanted);
  const NamedTensors latents = model.denoise(request, model.encode(request));
  const Picture made = parts.decode_images(latents.at("image_vae_latents")).front();
  expect_picture(made, golden.tensor("variations", "text.pixels")[0]);
  // A pixel that rounds the other way is another picture: then the peer's own bytes are read in a half of its own.
  const at::Tensor stored = golden.tensor("variations", "text.pixels")[0];
  at::Generator generator = at::detail::createCPUGenerator(request.seed);
  const Stage draws{.mode = UniDiffuserMode::t2i, .steps = request.steps, .guidance_scale = request.guidance_scale};
  const StageOptions options{.attention = [](const DenoisingStep&) { return full_attention(); }};
  (void)denoise_stage(draws, start_of(draws.mode, model.encode(request), 1, parts, generator), parts, generator,
                      options);
  const EncodedPicture seen = parts.encode_picture(picture_of(stored));
  Stage reads = draws;
  reads.mode = UniDiffuserMode::i2t;
  const NamedTensors encoded = {{"image_vae_moments", seen.vae_moments}, {"image_clip_embeds", seen.clip_embeds}};
  const JointTensors read =
      denoise_stage(reads, start_of(reads.mode, encoded, 1, parts, generator), parts, generator, options);
  golden.expect(read.text, "variations", "text.text_latents", tolerance::latents);
  EXPECT_EQ(parts.decode_texts(read.text).front().text, wanted["text"][0].get<std::string>());
  if (picture_of(stored).rgb != made.rgb) return;
  golden.expect(latents.at("text_latents"), "variations", "text.text_latents", tolerance::latents);
}

TEST_P(EveryMode, GoesOnFromAnyStepToTheSameBits) {
  for (const Mode& mode : model.traits().modes) {
    SCOPED_TRACE(mode.name);
    Request request = model.default_request();
    request.mode = mode.name;
    if (mode.takes == Medium::text) request.prompt = "Three wolves run";
    if (mode.takes == Medium::image) request.picture = picture;
    request.steps = 3;
    request.guidance_scale = 2;
    request.count = 2;
    request.seed = 5;
    const NamedTensors embeddings = model.encode(request);
    std::vector<DenoisingState> states;
    const NamedTensors whole = model.denoise(
        request, embeddings, {.on_step = [&](const StepEvent& event) { states.push_back(event.state()); }});
    EXPECT_EQ(std::ssize(states), 3 * model.cost(request).rounds);
    for (std::size_t done = 0; done + 1 < states.size(); ++done) {
      const NamedTensors rest = model.denoise(request, embeddings, {.from = states[done]});
      for (const auto& [name, latents] : whole)
        EXPECT_TRUE(at::equal(rest.at(name), latents)) << name << " after step " << done + 1;
    }
    EXPECT_THAT(error_text([&] { (void)model.denoise(request, embeddings, {.from = states.back()}); }),
                HasSubstr("the state is that after step"));
    request.count = 3;
    EXPECT_THAT(error_text([&] { (void)model.denoise(request, embeddings, {.from = states[states.size() - 2]}); }),
                HasSubstr("the state holds"));
  }
}

TEST_P(EveryMode, IsRecognisedByItsLatents) {
  for (const char* mode : {"joint", "image", "text"}) {
    Request request = model.default_request();
    request.mode = mode;
    request.count = 2;
    NamedTensors latents;
    for (const auto& [name, shape] : model.latent_shapes(request)) latents[name] = at::zeros(shape);
    const Request read = model.request_of(latents);
    EXPECT_EQ(read.mode, mode);
    EXPECT_EQ(read.count, 2);
  }
  EXPECT_THAT(error_text([&] {
                (void)model.request_of({{"latents", at::zeros({1})}});
              }),
              HasSubstr("no tensor image_vae_latents or text_latents"));
}

// As another type's: tensors of one run's state in the types of another's.
NamedTensors in_types_of(const NamedTensors& tensors, const NamedTensors& others) {
  NamedTensors cast;
  for (const auto& [name, tensor] : tensors) cast[name] = tensor.to(others.at(name).scalar_type());
  return cast;
}

// Each step of a half type starts from where fp32 is. In whole runs random weights amplify every rounding by tens, so
// that the peer's own error is another one on every processor and with every order of sums; a step's moves by two.
TEST(UniDiffuserInHalfTypes, StaysWithinThePeersOwnErrorAtEveryStep) {
  const Golden golden("unidiffuser");
  const Picture picture = picture_of(golden.tensor("picture", "picture"));
  const Checkpoint checkpoint = Checkpoint::open(golden.model());
  UniDiffuser exact(checkpoint, {.dtype = at::kFloat, .device = test_device()});
  for (const char* kind : {"bf16", "fp16"}) {
    UniDiffuser model(checkpoint, {.dtype = dtype_from(kind), .device = test_device()});
    for (const auto& [name, errors] : golden.json()["peer_error_half"][kind].items()) {
      if (name == "encoders") continue;
      SCOPED_TRACE(std::string(kind) + " " + name);
      Request request = request_of(model, golden.json()["requests"][name], picture);
      request.guidance_scale = 0;  // it draws noise at every step, in a half type another one
      const auto states_of = [&](UniDiffuser& of) {
        std::vector<DenoisingState> states;
        const auto keep = [&](const StepEvent& event) { states.push_back(event.state()); };
        for (const auto& [part, latents] : of.denoise(request, of.encode(request), {.on_step = keep}))
          EXPECT_EQ(latents.scalar_type(), of.options().dtype);
        return states;
      };
      const std::vector<DenoisingState> wanted = states_of(exact), own = states_of(model);
      const NamedTensors embeddings = model.encode(request);
      for (std::size_t step = 1; step < wanted.size(); ++step) {
        SCOPED_TRACE(testing::Message() << "step " << step);
        DenoisingState from = wanted[step - 1];
        from.latents = in_types_of(from.latents, own[step - 1].latents);
        from.scheduler = in_types_of(from.scheduler, own[step - 1].scheduler);
        std::optional<NamedTensors> reached;
        const auto first = [&](const StepEvent& event) {
          if (!reached) reached = event.latents;
        };
        (void)model.denoise(request, embeddings, {.on_step = first, .from = from});
        ASSERT_TRUE(reached.has_value());
        for (const auto& [part, latents] : *reached) {
          EXPECT_LE(worst_share(latents, wanted[step].latents.at(part)),
                    tolerance::half_factor * errors[part].get<double>())
              << part;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, EveryMode, testing::Values("unidiffuser", "unidiffuser_v0"),
                         [](const auto& info) { return info.param; });

TEST(UniDiffuserRequests, AreCheckedBeforeAnyWork) {
  const UniDiffuserConfig config = read_unidiffuser_config(Checkpoint::open(Golden("unidiffuser").model()));
  const auto refusal = [&](const std::function<void(Request&)>& change) {
    Request request = default_request(config);
    change(request);
    return error_text<UsageError>([&] { check(request, config); });
  };
  EXPECT_THAT(refusal([](Request& r) { r.steps = 0; }), HasSubstr("`steps` 0"));
  EXPECT_THAT(refusal([](Request& r) { r.guidance_scale = -1; }), HasSubstr("`guidance_scale` -1"));
  EXPECT_THAT(refusal([](Request& r) { r.count = 0; }), HasSubstr("0 samples"));
  EXPECT_THAT(refusal([](Request& r) { r.mode = "video"; }), HasSubstr("`mode` is \"video\""));
  EXPECT_THAT(refusal([](Request& r) { r.width += 8; }), HasSubstr("position table is for"));
  EXPECT_THAT(refusal([](Request& r) { r.picture = Picture{.width = 65, .height = 1, .rgb = {}}; }),
              HasSubstr("65x1 pixels"));
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
