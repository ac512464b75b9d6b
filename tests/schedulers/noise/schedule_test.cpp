// Noise tables and timesteps against diffusers'.
#include "schedulers/noise/schedule.h"

#include <ATen/ATen.h>

#include "tests/error_text.h"
#include "tests/golden.h"
#include "tests/schedulers/noise/configs.h"

namespace bitreel {
namespace {

using testing::HasSubstr;

class NoiseTable : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{"schedulers"};
  NoiseScheduleConfig config = schedule_config(golden.json()["tables"][GetParam()]);
};

TEST_P(NoiseTable, HoldsThePeersAlphasInDoublePrecision) {
  const NoiseSchedule schedule(config, 50);
  const at::Tensor expected = golden.tensor("tables", GetParam() + ".alphas_cumprod");
  for (std::int64_t t = 0; t < expected.size(0); ++t) {
    ASSERT_NEAR(schedule.alpha_bar(t), expected[t].item<double>(), tolerance::table) << "at timestep " << t;
  }
  EXPECT_EQ(schedule.alpha_bar(-1), schedule.alpha_bar(999)) << "-1 counts from the end";
}

TEST_P(NoiseTable, EndsInThePeersFinalAlpha) {
  const NoiseSchedule schedule(config, 50);
  EXPECT_NEAR(schedule.alpha_bar_previous(19),
              golden.tensor("tables", GetParam() + ".final_alpha_cumprod").item<double>(), tolerance::table);
}

INSTANTIATE_TEST_SUITE_P(Goldens, NoiseTable,
                         testing::Values("shift_3", "shift_1", "shift_2.5", "no_zero_snr", "last_alpha_kept"),
                         [](const auto& info) {
                           return info.param == "shift_2.5" ? "shift_2_and_a_half" : info.param;
                         });

class Timesteps : public testing::TestWithParam<std::string> {};

TEST_P(Timesteps, EqualThePeersForEveryCount) {
  const Golden golden("schedulers");
  const SafetensorsFile file = SafetensorsFile::open(golden.folder() / "timesteps.safetensors");
  NoiseScheduleConfig config;
  config.timestep_spacing = spacing_from(GetParam());
  config.steps_offset = GetParam() == "leading" ? 1 : 0;
  int counts = 0;
  for (const auto& entry : file.tensors()) {
    if (!entry.first.starts_with(GetParam() + ".")) continue;
    const std::int64_t steps = std::stoll(entry.first.substr(GetParam().size() + 1));
    const NoiseSchedule schedule(config, steps);
    const at::Tensor ours = at::tensor(schedule.timesteps(), at::kLong);
    EXPECT_TRUE(at::equal(ours, file.tensor(entry.first))) << entry.first;
    EXPECT_EQ(schedule.steps(), steps);
    ++counts;
  }
  EXPECT_GE(counts, 10);
}

INSTANTIATE_TEST_SUITE_P(Spacings, Timesteps, testing::Values("trailing", "linspace", "leading"),
                         [](const auto& info) { return info.param; });

NoiseScheduleConfig trailing() {
  NoiseScheduleConfig config;
  config.timestep_spacing = TimestepSpacing::trailing;
  return config;
}

TEST(NoiseSchedule, TakesOneStepMoreThanAskedForSixtyTwoCounts) {
  int longer = 0;
  for (std::int64_t steps = 1; steps <= 1000; ++steps) {
    const NoiseSchedule schedule(trailing(), steps);
    const std::size_t count = schedule.timesteps().size();
    if (count == static_cast<std::size_t>(steps)) continue;
    ASSERT_EQ(count, static_cast<std::size_t>(steps) + 1) << steps;
    EXPECT_EQ(schedule.timesteps().back(), -1) << steps;
    ++longer;
  }
  EXPECT_EQ(longer, 62);
}

TEST(NoiseSchedule, StepsBackByAFixedStrideEvenWhereThatIsNotTheNextTimestep) {
  const NoiseSchedule schedule(trailing(), 30);
  ASSERT_EQ(schedule.timesteps()[1], 966);
  ASSERT_EQ(schedule.timesteps()[2], 932);
  EXPECT_EQ(schedule.previous(966), 933);
  EXPECT_EQ(schedule.alpha_bar_previous(966), schedule.alpha_bar(933));
}

TEST(NoiseSchedule, StopsShortOfTheEndWhereTheLastStrideStaysInTheTable) {
  const NoiseSchedule schedule(trailing(), 28);
  const std::int64_t last = schedule.timesteps().back();
  EXPECT_EQ(schedule.previous(last), 0);
  EXPECT_EQ(schedule.alpha_bar_previous(last), schedule.alpha_bar(0));
}

TEST(NoiseSchedule, RefusesStepCountsThatItHasNoTimestepsFor) {
  for (const std::int64_t steps : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1001}, INT64_MAX, INT64_MIN}) {
    EXPECT_THAT(error_text<UsageError>([&] { NoiseSchedule(trailing(), steps); }),
                testing::AllOf(HasSubstr("`steps` " + std::to_string(steps)), HasSubstr("expected 1 to 1000")));
  }
}

TEST(NoiseSchedule, RefusesTimestepsOutsideItsTable) {
  NoiseScheduleConfig config;
  config.steps_offset = 20;  // leading: 999 + 20
  const NoiseSchedule schedule(config, 1000);
  EXPECT_THAT(error_text([&] { (void)schedule.alpha_bar(schedule.timesteps().front()); }),
              testing::AllOf(HasSubstr("timestep 1019"), HasSubstr("steps_offset")));
}

TEST(NoiseSchedule, TakesBetasGivenOneByOne) {
  NoiseScheduleConfig config;
  config.num_train_timesteps = 2;
  config.trained_betas = {0.5, 0.5};
  config.snr_shift_scale = 1.0;
  const NoiseSchedule schedule(config, 1);
  EXPECT_DOUBLE_EQ(schedule.alpha_bar(0), 0.5);
  EXPECT_DOUBLE_EQ(schedule.alpha_bar(1), 0.25);
}

}  // namespace
}  // namespace bitreel
