// The examples of this room's headers (tests/app/manuals_test.cpp compares).
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>

#include "pipelines/checkpoint/checkpoint.h"
#include "schedulers/noise/multistep_dpm.h"
#include "schedulers/noise/schedule.h"
#include "schedulers/noise/scheduler.h"

namespace bitreel::test {
namespace {

TEST(Examples, OfSchedulers) {
  NoiseScheduleConfig config;
  config.timestep_spacing = TimestepSpacing::trailing;
  config.rescale_betas_zero_snr = true;
  const NoiseSchedule schedule(config, 50);
  schedule.timesteps();
  schedule.alpha_bar(999);
  EXPECT_EQ(schedule.timesteps().front(), 999);
  EXPECT_EQ(schedule.alpha_bar(999), 0);
  config.rescale_betas_zero_snr = false;
  const at::Generator generator = at::detail::createCPUGenerator(1);
  const auto model = [](const at::Tensor& x) { return x * 0.5; };
  at::Tensor latents = at::ones({3});
  const std::unique_ptr<NoiseScheduler> scheduler = make_scheduler(SchedulerKind::ddim, NoiseSchedule(config, 50));
  for (std::size_t i = 0; i < scheduler->schedule().timesteps().size(); ++i)
    latents = scheduler->step(model(latents), i, latents, generator);
  EXPECT_TRUE(at::isfinite(latents).all().item<bool>());
}

TEST(Examples, OfMultistepSolvers) {
  const Checkpoint checkpoint = Checkpoint::open("tests/golden/unidiffuser/model");
  const at::Generator generator = at::detail::createCPUGenerator(1);
  const auto model = [](const at::Tensor& x, std::int64_t) { return x * 0.5; };
  at::Tensor latents = at::ones({3});
  MultistepDpm solver(read_multistep_dpm_config(checkpoint.config("scheduler")), 50);
  for (std::size_t i = 0; i < solver.timesteps().size(); ++i)
    latents = solver.step(model(latents, solver.timesteps()[i]), i, latents, generator);
  EXPECT_TRUE(at::isfinite(latents).all().item<bool>());
}

}  // namespace
}  // namespace bitreel::test
