// Whole clips against diffusers: prompt to latents to frames, in every dtype and with every scheduler of the goldens.
#include "pipelines/cogvideox/pipeline.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <array>
#include <cstdlib>
#include <limits>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "attention/attention.h"
#include "pipelines/model/device.h"
#include "tests/error_text.h"
#include "tests/golden.h"
#include "tests/test_device.h"

namespace bitreel {
namespace {

Request request_of(const nlohmann::json& golden) {
  Request request;
  request.prompt = golden["prompt"];
  request.negative_prompt = golden["negative_prompt"];
  request.width = golden["width"];
  request.height = golden["height"];
  request.num_frames = golden["num_frames"];
  request.steps = golden["steps"];
  request.guidance_scale = golden["guidance_scale"];
  request.dynamic_cfg = golden["dynamic_cfg"].get<bool>() ? DynamicGuidance::peer : DynamicGuidance::off;
  request.scheduler = golden["scheduler"] == "dpm" ? SchedulerKind::dpm : SchedulerKind::ddim;
  request.seed = golden["seed"];
  return request;
}

// LibTorch looks for its CUDA library once, at the first convolution; other tests of this binary must not come first.
class DeviceBeforeAnyTest : public testing::Environment {
  void SetUp() override { (void)test_device(); }
};
[[maybe_unused]] const testing::Environment* const device_before_any_test =
    testing::AddGlobalTestEnvironment(new DeviceBeforeAnyTest);

class WholeClip : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{GetParam()};
  Request request = request_of(golden.json());
  Checkpoint checkpoint = Checkpoint::open(golden.model());

  CogVideoX model(at::ScalarType dtype) { return {checkpoint, {.dtype = dtype, .device = test_device()}}; }
  // The text of text.safetensors, for tests that need no text encoder.
  NamedTensors text() {
    return {{"negative_prompt_embeds", golden.tensor("text", "negative_prompt_embeds")},
            {"prompt_embeds", golden.tensor("text", "prompt_embeds")}};
  }
};

TEST_P(WholeClip, TextEmbeddingsEqualThePeers) {
  const NamedTensors text = model(at::kFloat).encode(request);
  ASSERT_EQ(text.size(), 2U);
  for (const auto& [name, tensor] : text) golden.expect(tensor, "text", name, tolerance::module);
}

TEST_P(WholeClip, LatentsEqualThePeersAtEveryStep) {
  CogVideoX clip = model(at::kFloat);
  std::vector<std::int64_t> timesteps;
  const auto on_step = [&](const StepEvent& event) {
    golden.expect(event.latents.at("latents"), "denoise", "step." + std::to_string(event.step.index) + ".latents",
                  tolerance::latents);
    timesteps.push_back(event.step.timestep);
  };
  const at::Tensor latents = clip.denoise(request, clip.encode(request), {.on_step = on_step}).at("latents");
  EXPECT_EQ(timesteps, golden.json()["timesteps"].get<std::vector<std::int64_t>>());
  EXPECT_EQ(timesteps, clip.timesteps(request));
  EXPECT_EQ(latents.sizes(), at::IntArrayRef(clip.latent_shapes(request).at("latents")));
  golden.expect(latents, "denoise", "final_latents", tolerance::latents);
}

TEST_P(WholeClip, FramesEqualThePeers) {
  CogVideoX clip = model(at::kFloat);
  const at::Tensor frames = golden.tensor("frames", "frames");
  std::int64_t count = 0;
  std::int64_t worst = 0;
  const auto compare = [&](const Frame& frame) {
    ASSERT_LT(count, frames.size(0));
    ASSERT_EQ(frame.height, frames.size(1));
    ASSERT_EQ(frame.width, frames.size(2));
    const at::Tensor ours = at::from_blob(const_cast<std::uint8_t*>(frame.rgb), {frame.height, frame.width, 3},
                                          at::TensorOptions(at::kByte));
    worst = std::max(worst, (ours.to(at::kInt) - frames[count].to(at::kInt)).abs().max().item<std::int64_t>());
    ++count;
  };
  clip.decode(request, {{"latents", golden.tensor("denoise", "final_latents")}}, {.on_frame = compare});
  EXPECT_EQ(count, frames.size(0));
  EXPECT_LE(worst, tolerance::pixel);
}

TEST_P(WholeClip, OtherSchedulersAndStepCountsEqualThePeers) {
  CogVideoX clip = model(at::kFloat);
  const SafetensorsFile file = SafetensorsFile::open(golden.folder() / "more_steps.safetensors");
  ASSERT_FALSE(file.tensors().empty());
  for (const auto& entry : file.tensors()) {
    const std::string& name = entry.first;  // "dpm.28.final_latents"
    Request other = request;
    other.scheduler = name.starts_with("dpm.") ? SchedulerKind::dpm : SchedulerKind::ddim;
    other.steps = std::stoll(name.substr(name.find('.') + 1));
    golden.expect(clip.denoise(other, clip.encode(other)).at("latents"), "more_steps", name, tolerance::latents);
  }
}

TEST_P(WholeClip, OtherRequestsEqualThePeers) {
  CogVideoX clip = model(at::kFloat);
  ASSERT_FALSE(golden.json()["more_runs"].empty());
  for (const auto& [name, changes] : golden.json()["more_runs"].items()) {
    nlohmann::json changed = golden.json();
    changed.update(changes);
    const Request other = request_of(changed);
    golden.expect(clip.denoise(other, clip.encode(other)).at("latents"), "more_runs", name + ".final_latents",
                  tolerance::latents);
  }
}

TEST_P(WholeClip, ReferenceAttentionGivesThePeersLatents) {
  CogVideoX clip(checkpoint, {.dtype = at::kFloat, .device = test_device(), .attention_backend = "reference"});
  golden.expect(clip.denoise(request, text()).at("latents"), "denoise", "final_latents", tolerance::latents);
}

TEST_P(WholeClip, StopsWithTheStepsNumberWhenLatentsAreNoLongerFinite) {
  int steps = 0;
  NamedTensors broken = text();
  broken["prompt_embeds"] = broken["prompt_embeds"] * std::numeric_limits<float>::quiet_NaN();
  const DenoiseOptions counted = {.on_step = [&](const StepEvent&) { ++steps; }};
  EXPECT_THAT(error_text([&] { (void)model(at::kFloat).denoise(request, broken, counted); }),
              testing::HasSubstr("step 1 of " + std::to_string(request.steps) + ": the latents are no longer finite"));
  EXPECT_EQ(steps, 0);
  EXPECT_THAT(error_text([&] { (void)model(at::kHalf).denoise(request, broken); }),
              testing::HasSubstr("try `dtype` bf16"));
}

TEST_P(WholeClip, DecodesOnlyLatentsThatFitTheModel) {
  const at::Tensor latents = golden.tensor("denoise", "final_latents");
  for (const at::Tensor& bad :
       {latents[0], at::cat({latents, latents}), latents.narrow(1, 0, 1), latents.narrow(2, 0, 4)}) {
    EXPECT_THAT(
        error_text([&] {
          model(at::kFloat).decode(request, {{"latents", bad}}, {.on_frame = [](const Frame&) { FAIL(); }});
        }),
        testing::AllOf(testing::HasSubstr("don't fit"), testing::HasSubstr("decode with the model that made them")));
  }
}

TEST_P(WholeClip, HalfPrecisionIsAsAccurateAsThePeers) {
  ASSERT_FALSE(golden.json()["peer_error_half"].empty());
  for (const auto& [name, errors] : golden.json()["peer_error_half"].items()) {
    SCOPED_TRACE(name);
    const at::ScalarType dtype = dtype_from(name);
    CogVideoX clip = model(dtype);
    const at::Tensor latents = clip.denoise(request, clip.encode(request)).at("latents");
    EXPECT_EQ(latents.scalar_type(), dtype);
    const double peer = errors["final_latents"]["of_max"];
    golden.expect(latents, name, "reference.final_latents", tolerance::half_factor * peer);
  }
}

TEST_P(WholeClip, GoesOnFromAnyStepToTheSameBits) {
  const std::vector<SchedulerKind> schedulers = model(at::kFloat).traits().schedulers;
  for (const SchedulerKind scheduler : schedulers) {
    request.scheduler = scheduler;
    CogVideoX clip = model(at::kBFloat16);
    std::vector<DenoisingState> states;
    const auto keep = [&](const StepEvent& event) { states.push_back(event.state()); };
    const NamedTensors whole = clip.denoise(request, text(), {.on_step = keep});
    for (const std::size_t done : {std::size_t{0}, states.size() - 2}) {
      const NamedTensors rest = clip.denoise(request, text(), {.from = states[done]});
      EXPECT_TRUE(at::equal(rest.at("latents"), whole.at("latents")))
          << name_of(scheduler) << " after step " << done + 1;
    }
    EXPECT_THAT(error_text([&] { (void)clip.denoise(request, text(), {.from = states.back()}); }),
                testing::HasSubstr("the state is that after step"));
  }
}

// On a GPU most of the steps are played from a recording.
TEST_P(WholeClip, RecordedStepsHaveTheBitsOfLaunchedOnes) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    CogVideoX launched = model(dtype);
    CogVideoX recorded(checkpoint, {.dtype = dtype, .device = test_device(), .graphs = CudaGraphs::recorded});
    Request other = request;
    other.seed = 5;
    const NamedTensors text = recorded.encode(request);
    const auto denoised = [&](CogVideoX& clip) {
      std::vector<at::Tensor> latents;
      std::vector<std::string> remarks;
      const DenoiseOptions options{
          .on_step = [&](const StepEvent& event) { latents.push_back(event.latents.at("latents")); },
          .on_remark = [&](const std::string& remark) { remarks.push_back(remark); }};
      (void)clip.denoise(request, text, options);
      for (const NamedTensors& one :
           clip.denoise_together({{.request = request, .embeddings = text, .options = options},
                                  {.request = other, .embeddings = text}})) {
        latents.push_back(one.at("latents"));
      }
      EXPECT_TRUE(remarks.empty()) << remarks.front();
      return latents;
    };
    const std::vector<at::Tensor> ours = denoised(recorded), theirs = denoised(launched);
    ASSERT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(at::equal(ours[i], theirs[i])) << "latents " << i;
  }
}

TEST_P(WholeClip, KeptOverRequestsIsTheSameAsLoadedAnew) {
  CogVideoX kept = model(at::kFloat);
  const at::Tensor first = kept.denoise(request, kept.encode(request)).at("latents");
  Request other = request;
  other.prompt = "something else";
  other.seed = 99;
  (void)kept.denoise(other, kept.encode(other));
  EXPECT_TRUE(at::equal(kept.denoise(request, kept.encode(request)).at("latents"), first));
  for (const Phase phase : {Phase::encode, Phase::denoise, Phase::decode}) kept.release(phase);
  EXPECT_TRUE(at::equal(kept.denoise(request, kept.encode(request)).at("latents"), first)) << "loaded again";
}

TEST_P(WholeClip, AutomaticTilingSaysWhatItChose) {
  CogVideoX clip(checkpoint, {.dtype = at::kFloat, .device = test_device(), .vae_tiling = Tiling::automatic});
  std::vector<std::string> remarks;
  std::int64_t frames = 0;
  clip.decode(request, {{"latents", golden.tensor("denoise", "final_latents")}},
              {.on_frame = [&](const Frame&) { ++frames; },
               .on_remark = [&](const std::string& remark) { remarks.push_back(remark); }});
  EXPECT_EQ(frames, golden.tensor("frames", "frames").size(0));
  EXPECT_THAT(remarks, testing::ElementsAre(testing::AllOf(testing::HasSubstr("`vae_tiling` auto: decoding the whole"),
                                                           testing::HasSubstr("it is not tiled"))));
}

// Each clip twice: what has left the device comes back.
TEST_P(WholeClip, OffloadGivesTheSameBits) {
  struct Made {
    at::Tensor text, latents;
    std::vector<std::uint8_t> frames;
  };
  const auto made_by = [&](CogVideoX& clip) {
    Made made;
    const NamedTensors embeddings = clip.encode(request);
    const NamedTensors latents = clip.denoise(request, embeddings);
    clip.decode(request, latents, {.on_frame = [&](const Frame& frame) {
                  const auto size = static_cast<std::ptrdiff_t>(3) * frame.width * frame.height;
                  made.frames.insert(made.frames.end(), frame.rgb, frame.rgb + size);
                }});
    made.text = embeddings.at("prompt_embeds");
    made.latents = latents.at("latents");
    return made;
  };
  CogVideoX resident = model(at::kFloat);
  const Made expected = made_by(resident);
  EXPECT_TRUE(resident.traits().concurrent);
  for (const Offload offload : {Offload::model, Offload::layers}) {
    CogVideoX clip(checkpoint, {.dtype = at::kFloat, .device = test_device(), .offload = offload});
    EXPECT_FALSE(clip.traits().concurrent) << "parts take turns";
    for (int time = 0; time < 3; ++time) {
      SCOPED_TRACE(std::string(name_of(offload)) + ", time " + std::to_string(time));
      const Made made = made_by(clip);
      EXPECT_TRUE(at::equal(made.text, expected.text));
      EXPECT_TRUE(at::equal(made.latents, expected.latents));
      EXPECT_EQ(made.frames, expected.frames);
      if (time == 1) clip.release(Phase::encode);
    }
  }
}

// Seeds, prompts, guidance, schedulers and what attends may differ; one clip is taken up after its second step.
TEST_P(WholeClip, SharingABatchGivesWhatEachClipGetsAlone) {
  CogVideoX clip = model(at::kFloat);
  std::set<std::int64_t> branches;
  const StepAttention of_its_own = [&](const DenoisingStep&) -> LayerAttention {
    return [&](std::int64_t, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
      branches.insert(q.size(0));
      return attend(q, k, v, {.backend = "reference"});
    };
  };
  std::vector<Request> requests(4, request);
  requests[1].prompt = "something else";
  requests[1].seed = 99;
  requests[2].scheduler = request.scheduler == SchedulerKind::dpm ? SchedulerKind::ddim : SchedulerKind::dpm;
  requests[2].guidance_scale = 2.5;
  requests[3].seed = 7;
  std::vector<Denoising> together;
  std::vector<std::vector<at::Tensor>> alone, seen(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Denoising one{.request = requests[i], .embeddings = clip.encode(requests[i])};
    if (i == 1) one.options.attention_of_step = of_its_own;
    std::vector<at::Tensor>& steps = alone.emplace_back();
    std::optional<DenoisingState> second;
    one.options.on_step = [&](const StepEvent& event) {
      steps.push_back(event.latents.at("latents"));
      if (event.step.index == 1) second = event.state();
    };
    (void)clip.denoise(one.request, one.embeddings, one.options);
    if (i == 3) one.options.from = second;
    one.options.on_step = [&seen, i](const StepEvent& event) { seen[i].push_back(event.latents.at("latents")); };
    together.push_back(std::move(one));
    EXPECT_TRUE(clip.shares_batch(requests[i], request));
  }
  const std::vector<NamedTensors> latents = clip.denoise_together(together);
  EXPECT_EQ(branches, std::set<std::int64_t>{2}) << "it sees its own part of the batch";
  golden.expect(latents[0].at("latents"), "denoise", "final_latents", tolerance::latents);
  alone[3].erase(alone[3].begin(), alone[3].begin() + 2);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ASSERT_EQ(seen[i].size(), alone[i].size()) << "clip " << i;
    for (std::size_t step = 0; step < seen[i].size(); ++step) {
      EXPECT_LE(worst_share(seen[i][step], alone[i][step]), tolerance::latents) << "clip " << i << " step " << step;
    }
    EXPECT_TRUE(at::equal(latents[i].at("latents"), seen[i].back()));
  }
}

TEST_P(WholeClip, SharesNoBatchWithOtherShapesStepsOrGuidance) {
  CogVideoX clip = model(at::kFloat);
  Request longer = request, narrower = request, unguided = request;
  longer.steps = request.steps + 1;
  narrower.width = request.width - 16;
  unguided.guidance_scale = 1;
  for (const Request& other : {longer, narrower, unguided}) EXPECT_FALSE(clip.shares_batch(request, other));
  const NamedTensors own = clip.encode(unguided);
  const auto latents = clip.denoise_together({{.request = request, .embeddings = text()},
                                              {.request = unguided, .embeddings = own},
                                              {.request = longer, .embeddings = text()}});
  EXPECT_TRUE(at::equal(latents[0].at("latents"), clip.denoise(request, text()).at("latents")));
  EXPECT_TRUE(at::equal(latents[1].at("latents"), clip.denoise(unguided, own).at("latents")));
  EXPECT_TRUE(at::equal(latents[2].at("latents"), clip.denoise(longer, text()).at("latents")));
}

TEST_P(WholeClip, PhasesRunOnSeveralThreadsAtOnce) {
  CogVideoX shared = model(at::kFloat);
  ASSERT_TRUE(shared.traits().concurrent);
  std::array<at::Tensor, 3> latents;
  std::array<std::int64_t, 3> frames = {};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < latents.size(); ++i) {
    threads.emplace_back([&, i] {
      at::set_num_threads(1);
      const NamedTensors result = shared.denoise(request, shared.encode(request));
      shared.decode(request, result, {.on_frame = [&](const Frame&) { ++frames[i]; }});
      latents[i] = result.at("latents");
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < latents.size(); ++i) {
    golden.expect(latents[i], "denoise", "final_latents", tolerance::latents);
    EXPECT_EQ(frames[i], request.num_frames);
  }
}

TEST_P(WholeClip, ReadsItsSizeBackFromLatents) {
  const CogVideoX clip = model(at::kFloat);
  const Request read = clip.request_of({{"latents", golden.tensor("denoise", "final_latents")}});
  EXPECT_EQ(read.width, request.width);
  EXPECT_EQ(read.height, request.height);
  EXPECT_EQ(read.num_frames, request.num_frames);
}

TEST(AutomaticTiling, FollowsFreeMemory) {
  const Checkpoint checkpoint = Checkpoint::open("configs/models/CogVideoX-2b").made_up(1, {});
  const auto decoding = [&](Tiling tiling, std::int64_t side) {
    const CogVideoX model(checkpoint, {.dtype = at::kFloat, .device = test_device(), .vae_tiling = tiling});
    Request request = model.default_request();
    request.width = request.height = side;
    return model.cost(request).decode.activation_bytes;
  };
  EXPECT_EQ(decoding(Tiling::automatic, 64), decoding(Tiling::off, 64));
  const std::int64_t far_too_large = 16384;
  EXPECT_EQ(decoding(Tiling::automatic, far_too_large), decoding(Tiling::on, far_too_large));
  EXPECT_LT(decoding(Tiling::on, far_too_large), decoding(Tiling::off, far_too_large));
}

INSTANTIATE_TEST_SUITE_P(Goldens, WholeClip, testing::Values("cog2b", "cog5b", "cog15"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bitreel
