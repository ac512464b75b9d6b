// Whole DDIM and DPM loops on made-up predictions against diffusers', in every dtype and every branch.
#include "schedulers/noise/scheduler.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "tests/error_text.h"
#include "tests/golden.h"
#include "tests/schedulers/noise/configs.h"

namespace bitreel {
namespace {

std::unique_ptr<NoiseScheduler> scheduler_of(const Golden& golden, const nlohmann::json& loop) {
  NoiseScheduleConfig config = schedule_config(golden.json()["tables"][loop["table"].get<std::string>()]);
  config.prediction_type = prediction_from(loop["prediction_type"]);
  config.timestep_spacing = spacing_from(loop["timestep_spacing"]);
  NoiseSchedule schedule(config, loop["steps"]);
  return make_scheduler(loop["scheduler"] == "dpm" ? SchedulerKind::dpm : SchedulerKind::ddim, std::move(schedule));
}

TEST(NoiseScheduler, GoesThePeersWayInEveryLoop) {
  const Golden golden("schedulers");
  const SafetensorsFile file = SafetensorsFile::open(golden.folder() / "loops.safetensors");
  const at::Tensor outputs = file.tensor("model_outputs");
  ASSERT_GE(golden.json()["loops"].size(), 20U);
  for (const nlohmann::json& loop : golden.json()["loops"]) {
    SCOPED_TRACE(loop.dump());
    const std::unique_ptr<NoiseScheduler> scheduler = scheduler_of(golden, loop);
    const at::Generator generator = at::detail::createCPUGenerator(loop["seed"].get<std::uint64_t>());
    const at::ScalarType dtype = dtype_from(loop["dtype"]);
    // Half types must round where the peer rounds; fp32 differs in the last bits that vector units leave open.
    const double share = dtype == at::kFloat ? tolerance::loop : 0.0;
    at::Tensor sample = file.tensor("sample").to(dtype);
    const std::size_t count = scheduler->schedule().timesteps().size();
    int compared = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto output = static_cast<std::int64_t>(i) % outputs.size(0);
      sample = scheduler->step(outputs[output], i, sample, generator).to(dtype);
      const std::string name = loop["name"].get<std::string>() + ".after_step." + std::to_string(i);
      if (!file.tensors().contains(name)) continue;
      golden.expect(sample, "loops", name, share);
      ++compared;
    }
    EXPECT_EQ(compared, std::min<int>(static_cast<int>(count), 6));
  }
}

TEST(NoiseScheduler, DdimLeavesTheGeneratorAlone) {
  NoiseScheduleConfig config;
  const auto scheduler = make_scheduler(SchedulerKind::ddim, NoiseSchedule(config, 4));
  const at::Generator used = at::detail::createCPUGenerator(5);
  const at::Generator fresh = at::detail::createCPUGenerator(5);
  at::Tensor sample = at::ones({2, 3});
  for (std::size_t i = 0; i < 4; ++i) sample = scheduler->step(at::ones({2, 3}), i, sample, used);
  EXPECT_TRUE(at::equal(at::randn({16}, used, at::kFloat), at::randn({16}, fresh, at::kFloat)));
}

TEST(NoiseScheduler, RestoredGoesTheSameWayOn) {
  for (const SchedulerKind kind : {SchedulerKind::ddim, SchedulerKind::dpm}) {
    SCOPED_TRACE(name_of(kind));
    const NoiseSchedule schedule(NoiseScheduleConfig{}, 6);
    const at::Generator generator = at::detail::createCPUGenerator(5);
    const at::Tensor prediction = at::full({2, 3}, 0.25);
    const auto whole = make_scheduler(kind, schedule), begun = make_scheduler(kind, schedule);
    at::Tensor sample = at::ones({2, 3});
    for (std::size_t i = 0; i < 3; ++i) sample = whole->step(prediction, i, sample, generator);
    begun->restore(whole->state());
    const at::Generator same = generator.clone();
    EXPECT_TRUE(at::equal(begun->step(prediction, 3, sample, same), whole->step(prediction, 3, sample, generator)));
  }
}

TEST(NoiseScheduler, OfAnotherScheduleIsRefused) {
  EXPECT_THAT(error_text([] { make_scheduler(SchedulerKind::dpm_multistep, NoiseSchedule(NoiseScheduleConfig{}, 6)); }),
              testing::HasSubstr("the scheduler dpm-multistep does not move on this schedule"));
}

TEST(NoiseScheduler, RefusesAStateThatIsNotItsOwn) {
  const NoiseSchedule schedule(NoiseScheduleConfig{}, 6);
  const NamedTensors other = {{"previous_original", at::ones({2, 3})}};
  EXPECT_THAT(error_text([&] { make_scheduler(SchedulerKind::ddim, schedule)->restore(other); }),
              testing::HasSubstr("holds previous_original, which this scheduler does not keep"));
  EXPECT_THAT(error_text([&] { make_scheduler(SchedulerKind::dpm, schedule)->restore({}); }),
              testing::HasSubstr("lacks previous_original"));
}

// On CPUs with AVX2; LibTorch's plain code, for older ones, differs in the last bit.
TEST(Randomness, DrawsAreThePeersBitForBit) {
  const Golden golden("randomness");
  for (const nlohmann::json& draw : golden.json()["draws"]) {
    SCOPED_TRACE(draw.dump());
    const at::Generator generator = at::detail::createCPUGenerator(std::stoull(draw["seed"].get<std::string>()));
    int i = 0;
    for (const nlohmann::json& shape : draw["shapes"]) {
      const at::Tensor ours = at::randn(shape.get<std::vector<std::int64_t>>(), generator, dtype_from(draw["dtype"]));
      const at::Tensor theirs = golden.tensor("draws", draw["name"].get<std::string>() + "." + std::to_string(i++));
      EXPECT_EQ(ours.scalar_type(), theirs.scalar_type());
      EXPECT_TRUE(at::equal(ours, theirs)) << "draw " << i;
    }
  }
}

}  // namespace
}  // namespace bitreel
