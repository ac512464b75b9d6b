// Examples of the headers of cogvideox/ and of the scheduler's terms (tests/app/manuals_test.cpp compares). Those that
// want the default model are in tests/app/examples_test.cpp.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "pipelines/cogvideox/guided_step.h"
#include "schedulers/noise/scheduler.h"

namespace bitreel::test {
namespace {

TEST(CogVideoXExamples, OfAGuidedStep) {
  const auto scheduler = make_scheduler(SchedulerKind::ddim, NoiseSchedule(NoiseScheduleConfig{}, 4));
  const at::Generator generator = at::detail::createCPUGenerator(1);
  const at::Tensor predictions = at::ones({2, 3}) * at::tensor({0.0f, 1.0f}).unsqueeze(1);
  at::Tensor latents = at::ones({1, 3});
  const std::size_t index = 0;
  const at::Tensor expected = make_scheduler(SchedulerKind::ddim, NoiseSchedule(NoiseScheduleConfig{}, 4))
                                  ->step(at::full({1, 3}, 6.0), index, latents, generator);
  {
    const NoiseScheduler::Move move = [&](const StepTerms& terms) {
      return guided_step(predictions, 6.0, latents, terms, Elementwise::fused);
    };
    latents = scheduler->step_by(move, index, latents, generator);
  }
  EXPECT_TRUE(at::equal(latents, expected));
}

TEST(CogVideoXExamples, OfAStepsTerms) {
  const StepTerms terms{.type = PredictionType::sample, .keep = 0.5, .pull = 2};
  const at::Tensor prediction = at::full({3}, 4.0);
  at::Tensor sample = at::ones({3});
  {
    const Moved moved = moved_by(terms, prediction, sample);
    sample = moved.next;
  }
  EXPECT_TRUE(at::equal(sample, at::full({3}, 8.5)));
}

}  // namespace
}  // namespace bitreel::test
