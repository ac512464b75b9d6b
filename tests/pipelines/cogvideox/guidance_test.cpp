// Guidance against diffusers': the scale of every step, and what it does to the predictions.
#include "pipelines/cogvideox/guidance.h"

#include <ATen/ATen.h>

#include <cmath>

#include "tests/golden.h"

namespace bitreel {
namespace {

Request request_with(double scale, DynamicGuidance dynamic, std::int64_t steps) {
  Request request;
  request.guidance_scale = scale;
  request.dynamic_cfg = dynamic;
  request.steps = steps;
  return request;
}

TEST(Guidance, DynamicScalesAreThePeersAtEveryStep) {
  const Golden golden("guidance");
  for (const std::int64_t steps : {6, 28, 30, 50, 61}) {
    const std::string count = std::to_string(steps);
    const at::Tensor timesteps = golden.tensor("dynamic", "timesteps." + count);
    for (const auto& [name, scale] : {std::pair{"scale_6.", 6.0}, std::pair{"scale_4_5.", 4.5}}) {
      const at::Tensor expected = golden.tensor("dynamic", name + count);
      const Request request = request_with(scale, DynamicGuidance::peer, steps);
      for (std::int64_t i = 0; i < timesteps.size(0); ++i) {
        EXPECT_NEAR(guidance_at(request, i, timesteps[i].item<std::int64_t>()), expected[i].item<double>(),
                    tolerance::table)
            << "step " << i << " of " << steps;
      }
    }
  }
}

TEST(Guidance, RampsDownOverTheStepsInItsFixedForm) {
  const Request request = request_with(6.0, DynamicGuidance::ramp, 4);
  EXPECT_DOUBLE_EQ(guidance_at(request, 0, 999), 7.0);
  EXPECT_NEAR(guidance_at(request, 2, 499), 1.0 + 6.0 * (1.0 - std::cos(std::acos(-1.0) / 32.0)) / 2.0, 1e-14);
  for (std::int64_t step = 1; step < 4; ++step) {
    EXPECT_LT(guidance_at(request, step, 0), guidance_at(request, step - 1, 0));
  }
  EXPECT_GE(guidance_at(request, 3, 0), 1.0);
}

TEST(Guidance, IsTheSameAtEveryStepWithoutDynamics) {
  const Request request = request_with(4.5, DynamicGuidance::off, 50);
  for (const std::int64_t step : {0, 25, 49}) EXPECT_EQ(guidance_at(request, step, 999 - 20 * step), 4.5);
}

TEST(Guidance, RunsAboveOneOnly) {
  EXPECT_FALSE(uses_guidance(request_with(0.5, DynamicGuidance::off, 50)));
  EXPECT_FALSE(uses_guidance(request_with(1.0, DynamicGuidance::peer, 50)));
  EXPECT_TRUE(uses_guidance(request_with(1.0001, DynamicGuidance::off, 50)));
}

TEST(Guidance, PushesFromTheNegativePromptToThePrompt) {
  const Golden golden("guidance");
  const at::Tensor predictions = golden.tensor("combine", "noise_pred");
  const auto scales = golden.json()["guided"].get<std::vector<double>>();
  for (std::size_t i = 0; i < scales.size(); ++i) {
    golden.expect(guided(predictions, scales[i]), "combine", "guided." + std::to_string(i), tolerance::loop);
  }
}

}  // namespace
}  // namespace bitreel
