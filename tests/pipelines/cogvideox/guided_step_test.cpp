// Guidance and a step at once against one after the other: the same bits on a CPU, where both are LibTorch's
// operations, and on a GPU, where they are one kernel. tests/pipelines/cogvideox/cuda runs that kernel on the CPU.
#include "pipelines/cogvideox/guided_step.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "pipelines/cogvideox/guidance.h"
#include "schedulers/noise/scheduler.h"
#include "tests/test_device.h"

namespace bitreel {
namespace {

at::Tensor made_latents(std::int64_t branches, at::ScalarType dtype, std::uint64_t seed) {
  return at::randn({branches, 3, 4, 6, 10}, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat))
      .to(test_device(), dtype);
}

TEST(GuidedStep, HasTheBitsOfGuidanceAndThenTheScheduler) {
  constexpr double guidance = 6.5;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const SchedulerKind kind : {SchedulerKind::ddim, SchedulerKind::dpm}) {
      for (const std::int64_t branches : {1, 2}) {
        SCOPED_TRACE(testing::Message() << name_of(kind) << ", " << dtype << ", " << branches << " branches");
        NoiseScheduleConfig config;
        config.prediction_type = PredictionType::v_prediction;
        config.rescale_betas_zero_snr = true;
        config.timestep_spacing = TimestepSpacing::trailing;
        const auto at_once = make_scheduler(kind, NoiseSchedule(config, 5));
        const auto apart = make_scheduler(kind, NoiseSchedule(config, 5));
        const at::Generator ours = at::detail::createCPUGenerator(3), theirs = at::detail::createCPUGenerator(3);
        at::Tensor a = made_latents(1, dtype, 1), b = a;
        for (std::size_t i = 0; i < 5; ++i) {
          const at::Tensor predictions = made_latents(branches, dtype, 10 + i);
          const auto move = [&](const StepTerms& terms) {
            return guided_step(predictions, guidance, a, terms, Elementwise::fused);
          };
          a = at_once->step_by(move, i, a, ours).to(dtype);
          const at::Tensor wide = predictions.to(at::kFloat);
          b = apart->step(branches > 1 ? guided(wide, guidance) : wide, i, b, theirs).to(dtype);
          EXPECT_TRUE(at::equal(a, b)) << "step " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitreel
