// The default model's own clip on a GPU against the CPU: BITREEL_TEST_DEVICE=cuda test_pipelines_cogvideox.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "pipelines/cogvideox/pipeline.h"
#include "pipelines/model/device.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

struct Clip {
  at::Tensor latents;
  at::Tensor frames;  // [T, H, W, 3] uint8
};

Clip render(const Checkpoint& checkpoint, at::Device device, at::ScalarType dtype) {
  CogVideoX model(checkpoint, {.dtype = dtype, .device = device});
  Request request = model.default_request();
  request.prompt = "a red circle moves right on a navy background";
  request.seed = 1;
  Clip clip;
  const NamedTensors latents = model.denoise(request, model.encode(request));
  clip.latents = latents.at("latents").to(at::kCPU);
  std::vector<at::Tensor> frames;
  const auto keep = [&](const Frame& frame) {
    frames.push_back(at::from_blob(const_cast<std::uint8_t*>(frame.rgb), {frame.height, frame.width, 3},
                                   at::TensorOptions(at::kByte))
                         .clone());
  };
  model.decode(request, latents, {.on_frame = keep});
  clip.frames = at::stack(frames);
  return clip;
}

double psnr(const at::Tensor& a, const at::Tensor& b) {
  const double error = (a.to(at::kDouble) - b.to(at::kDouble)).square().mean().item<double>();
  return 10.0 * std::log10(255.0 * 255.0 / error);
}

class DefaultClip : public testing::TestWithParam<at::ScalarType> {};

TEST_P(DefaultClip, OnTheGpuIsTheCpusClip) {
  const char* name = std::getenv("BITREEL_TEST_DEVICE");
  if (name == nullptr || std::string(name) != "cuda")
    GTEST_SKIP() << "set BITREEL_TEST_DEVICE=cuda on a machine with a GPU";
  const char* folder = std::getenv("BITREEL_TEST_MODEL");
  const Checkpoint checkpoint = Checkpoint::open(folder != nullptr ? folder : "assets/pocket");
  const at::Device gpu = resolve_device(DeviceChoice::cuda);
  const Clip cpu_clip = render(checkpoint, at::kCPU, GetParam());
  const Clip gpu_clip = render(checkpoint, gpu, GetParam());
  const double latents = worst_share(gpu_clip.latents, cpu_clip.latents);
  const double frames = psnr(gpu_clip.frames, cpu_clip.frames);
  std::printf("%s: latents differ by %.3g of their maximum, frames agree to %.1f dB\n", c10::toString(GetParam()),
              latents, frames);
  // 50 steps at guidance 6 multiply rounding differences; what a person sees is bounded in decibels.
  EXPECT_GT(frames, GetParam() == at::kFloat ? 40.0 : 25.0);
  if (GetParam() == at::kFloat) {
    EXPECT_LT(latents, 1e-2);
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, DefaultClip, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return info.param == at::kFloat ? "fp32" : "bf16"; });

}  // namespace
}  // namespace bitreel
