// What a clip is by default, what follows from its size, and what can't be asked for.
#include "pipelines/cogvideox/request.h"

#include <limits>

#include "pipelines/model/device.h"
#include "tests/error_text.h"

namespace bitreel {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// As published: 2b is all defaults; 5b names DPM; 1.5 spans two latent frames with each patch.
const CogVideoXConfig published_2b;

CogVideoXConfig published_15() {
  CogVideoXConfig config;
  config.transformer.patch_size_t = 2;
  config.transformer.sample_height = 96;
  config.transformer.sample_width = 170;
  config.transformer.sample_frames = 81;
  config.transformer.use_rotary_positional_embeddings = true;
  return config;
}

CogVideoXConfig small(std::size_t vae_levels) {
  CogVideoXConfig config;
  config.vae.block_out_channels.resize(vae_levels);
  return config;
}

TEST(Request, DefaultsAreThePeers) {
  const Request request = default_request(published_2b);
  EXPECT_EQ(request.width, 720);
  EXPECT_EQ(request.height, 480);
  EXPECT_EQ(request.num_frames, 49);
  EXPECT_EQ(request.steps, 50);
  EXPECT_EQ(request.guidance_scale, 6.0);
  EXPECT_EQ(request.dynamic_cfg, DynamicGuidance::off);
  EXPECT_EQ(request.scheduler, SchedulerKind::ddim);
  EXPECT_NO_THROW(check(request, published_2b));
}

TEST(Request, DefaultsFollowTheCheckpoint) {
  CogVideoXConfig config = published_15();
  config.scheduler = SchedulerKind::dpm;
  const Request request = default_request(config);
  EXPECT_EQ(request.width, 1360);
  EXPECT_EQ(request.height, 768);
  EXPECT_EQ(request.num_frames, 81);
  EXPECT_EQ(request.scheduler, SchedulerKind::dpm);
  EXPECT_NO_THROW(check(request, config));
  EXPECT_EQ(default_request(small(3)).width, 360) << "three VAE levels: four pixels a latent";
}

TEST(Geometry, IsThePublishedModels) {
  const Geometry two = geometry_of(default_request(published_2b), published_2b);
  EXPECT_EQ(two.latent_frames, 13);
  EXPECT_EQ(two.padding_frames, 0);
  EXPECT_EQ(two.latent_height, 60);
  EXPECT_EQ(two.latent_width, 90);
  EXPECT_EQ(two.text_tokens, 226);
  EXPECT_EQ(two.video_tokens, 17'550);
  const CogVideoXConfig config = published_15();
  const Geometry padded = geometry_of(default_request(config), config);
  EXPECT_EQ(padded.latent_frames, 22) << "21 and one of padding";
  EXPECT_EQ(padded.padding_frames, 1);
  EXPECT_EQ(padded.video_tokens, 44'880);
}

TEST(Geometry, PadsNothingWhereFramesDivide) {
  const CogVideoXConfig config = published_15();
  Request request = default_request(config);
  request.num_frames = 29;  // eight latent frames
  EXPECT_EQ(geometry_of(request, config).padding_frames, 0);
  EXPECT_EQ(geometry_of(request, config).latent_frames, 8);
  request.num_frames = 1;
  EXPECT_EQ(geometry_of(request, config).padding_frames, 1);
}

struct Bad {
  void (*change)(Request&);
  const char* complaint;
  const char* hint;
};

TEST(Request, ThatCannotBeIsAUsageErrorThatNamesTheNearestOneThatCan) {
  const Bad cases[] = {
      {[](Request& r) { r.width = 47; }, "`width` 47: expected a multiple of 16", "try 32 or 48"},
      {[](Request& r) { r.width = 17; }, "`width` 17: expected a multiple of 16", "try 16 or 32"},
      {[](Request& r) { r.width = 8191; }, "`width` 8191: expected a multiple of 16", "try 8176 or 8192"},
      {[](Request& r) { r.height = 488; }, "`height` 488: expected a multiple of 16", "try 480 or 496"},
      {[](Request& r) { r.width = 8; }, "`width` 8: expected 16 to 8192 pixels", "leave it out"},
      {[](Request& r) { r.height = 0; }, "`height` 0: expected 16 to 8192 pixels", "leave it out"},
      {[](Request& r) { r.width = -16; }, "`width` -16: expected 16 to 8192 pixels", "leave it out"},
      {[](Request& r) { r.height = 8208; }, "`height` 8208: expected 16 to 8192 pixels", "leave it out"},
      {[](Request& r) { r.width = INT64_MAX; }, "`width` 9223372036854775807: expected 16 to 8192", "leave it out"},
      {[](Request& r) { r.num_frames = 10; }, "`num_frames` 10: this model makes 8n+1 frames", "try 9 or 17"},
      {[](Request& r) { r.num_frames = 2; }, "`num_frames` 2: this model makes 8n+1 frames", "try 1 or 9"},
      {[](Request& r) { r.num_frames = 48; }, "`num_frames` 48: this model makes 8n+1 frames", "try 41 or 49"},
      {[](Request& r) { r.num_frames = 4096; }, "`num_frames` 4096: this model makes 8n+1 frames", "try 4089 or 4097"},
      {[](Request& r) { r.num_frames = 0; }, "`num_frames` 0: expected 1 to 4097", "leave it out"},
      {[](Request& r) { r.num_frames = -7; }, "`num_frames` -7: expected 1 to 4097", "leave it out"},
      {[](Request& r) { r.num_frames = 4105; }, "`num_frames` 4105: expected 1 to 4097", "leave it out"},
      {[](Request& r) { r.steps = 0; }, "`steps` 0: expected 1 to 1000", "50 is the usual"},
      {[](Request& r) { r.steps = 1001; }, "`steps` 1001: expected 1 to 1000", "50 is the usual"},
      {[](Request& r) { r.guidance_scale = -0.5; }, "`guidance_scale` -0.5: expected a number from 0 to 1000",
       "6 is the usual"},
      {[](Request& r) { r.guidance_scale = 1e9; }, "`guidance_scale` 1000000000: expected a number", "6 is the usual"},
      {[](Request& r) { r.guidance_scale = std::numeric_limits<double>::infinity(); }, "`guidance_scale` inf: expected",
       "6 is the usual"},
      {[](Request& r) { r.guidance_scale = std::numeric_limits<double>::quiet_NaN(); },
       "`guidance_scale` nan: expected", "6 is the usual"},
  };
  for (const Bad& bad : cases) {
    Request request = default_request(published_2b);
    bad.change(request);
    EXPECT_THAT(error_text<UsageError>([&] { check(request, published_2b); }),
                AllOf(HasSubstr(bad.complaint), HasSubstr(bad.hint)));
  }
}

TEST(Request, MayTouchEveryBound) {
  void (*const changes[])(Request&) = {
      [](Request& r) { r.width = 16; },         [](Request& r) { r.height = 8192; },
      [](Request& r) { r.num_frames = 1; },     [](Request& r) { r.num_frames = 4097; },
      [](Request& r) { r.steps = 1; },          [](Request& r) { r.steps = 1000; },
      [](Request& r) { r.guidance_scale = 0; }, [](Request& r) { r.guidance_scale = 1000; },
      [](Request& r) { r.seed = UINT64_MAX; }};
  for (const auto change : changes) {
    Request request = default_request(published_2b);
    change(request);
    EXPECT_NO_THROW(check(request, published_2b));
  }
}

TEST(Request, ComesInWholePatchesOfWholeLatentsAndInEights) {
  const std::tuple<std::size_t, std::int64_t, const char*> cases[] = {{2, 2, "multiple of 8"},
                                                                      {3, 2, "multiple of 8"},
                                                                      {4, 2, "multiple of 16"},
                                                                      {5, 2, "multiple of 32"},
                                                                      {4, 3, "multiple of 24"}};
  for (const auto& [levels, patch, complaint] : cases) {
    CogVideoXConfig config = small(levels);
    config.transformer.patch_size = patch;
    Request request = default_request(config);
    request.width = 481;
    EXPECT_THAT(error_text<UsageError>([&] { check(request, config); }), HasSubstr(complaint));
  }
}

TEST(Request, EndsWhereTheSlicedPositionTableEnds) {
  const CogVideoXConfig config = published_15();
  Request request = default_request(config);
  std::swap(request.width, request.height);
  EXPECT_THAT(error_text<UsageError>([&] { check(request, config); }),
              AllOf(HasSubstr("768x1360: this model's position table ends at 1360x768"), HasSubstr("within it")));
  request.height = 768;
  EXPECT_NO_THROW(check(request, config));
}

TEST(Device, IsTheCpuWhenAskedFor) {
  EXPECT_EQ(resolve_device(DeviceChoice::cpu), at::Device(at::kCPU));
}

TEST(Device, WithoutAGpuIsOneClearErrorAndAutomaticallyTheCpu) {
  if (resolve_device(DeviceChoice::automatic).is_cuda()) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_THAT(error_text([] { (void)resolve_device(DeviceChoice::cuda); }),
              AllOf(HasSubstr("`device` cuda: "), HasSubstr("use `device` cpu")));
}

}  // namespace
}  // namespace bitreel
