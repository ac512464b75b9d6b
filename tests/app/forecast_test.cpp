// What is said before the work, against what the work then takes.
#include "app/forecast.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <set>
#include <string>

#include "app/attention_plan.h"
#include "app/clip.h"
#include "app/pace.h"
#include "base/error.h"
#include "pipelines/model/machine_memory.h"
#include "tests/app/program.h"
#include "tests/attention/threads.h"
#include "tests/error_text.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

using ::testing::AllOf;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Lt;

constexpr double factor = 1.5;

Render default_clip(const std::string& attention, std::int64_t steps) {
  GenerateOptions options;
  options.prompt = "a red circle moves right on a navy background";
  options.device = DeviceChoice::cpu;
  options.attention = attention;
  options.steps = steps;
  options.seed = 1;
  return resolve(options, open_model(options));
}

// Of all threads: what other programs take of the cores does not count.
double process_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class ForecastTime : public testing::TestWithParam<std::string> {};

// Each side's best of several, on one thread: what a busy machine adds, threads that wait for each other too, is not
// the forecast's.
TEST_P(ForecastTime, IsWithinAFactorOfOneAndAHalf) {
  const Threads one(1);
  constexpr int steps = 6, rounds = 10;
  const Render render = default_clip(GetParam(), steps);
  const ModelIdentity identity = identify(*render.model);
  const Plan plan = resolve_attention(render, identity);
  double expected = std::numeric_limits<double>::max(), measured = expected;
  for (int round = 0; round < rounds; ++round)
    expected =
        std::min(expected, forecast_of(render, plan, {}).fields["expected_denoise_seconds"].get<double>() / steps);
  Console console(ProgressStyle::plain);
  double last = 0;
  run_clip(render, console,
           {.identity = identity, .plan = &plan, .on_step = [&](const StepEvent& event, const ClipRecord&) {
              const double now = process_seconds();
              if (event.step.index > 0) measured = std::min(measured, now - last);  // the first one loads and packs
              last = now;
            }});
  EXPECT_THAT(expected / measured, AllOf(Gt(1 / factor), Lt(factor)))
      << "a step was to take " << expected << " s and took " << measured << " s";
}

INSTANTIATE_TEST_SUITE_P(Attention, ForecastTime, testing::Values("full", "int8"),
                         [](const auto& info) { return info.param; });

TEST(ForecastTime, CountsEachPrecisionOfThePlanByItsOwnTime) {
  const Render render = default_clip("first:2=full,rest=int8", 6);
  const Cost cost = render.model->cost(render.request);
  const Plan plan = resolve_attention(render, identify(*render.model));
  Pace pace{.seconds_a_product_flop = 0, .attention_seconds = {{Precision::full, 3.0}, {Precision::int8, 1.0}}};
  const double layers = static_cast<double>(cost.layers);
  const double other = denoise_seconds(cost, pace, plan, 5) - layers;  // the last step, all int8
  EXPECT_GT(other, 0);
  EXPECT_LT(other, 3 * layers);
  EXPECT_NEAR(denoise_seconds(cost, pace, plan, 0), layers * (2 * 3 + 4 * 1) + 6 * other, 1e-9);
  pace.attention_seconds[Precision::int8] = 2.0;
  EXPECT_NEAR(denoise_seconds(cost, pace, plan, 4), 2 * (layers * 2 + other), 1e-9);
}

// In a process of its own, as a person runs it.
TEST(ForecastMemory, IsWithinAFactorOfOneAndAHalf) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer takes memory of its own";
#endif
  const TemporaryFolder folder;
  const Outcome outcome =
      run_bitreel({"generate", "--prompt", "a red circle moves right on a navy background", "--steps", "2", "--seed",
                   "1", "--device", "cpu", "--output", folder / "clip.mp4", "--progress", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto event_of = [&](const std::string& name) {
    const std::size_t begin = outcome.out.find("{\"event\":\"" + name + "\"");
    return nlohmann::json::parse(outcome.out.substr(begin, outcome.out.find('\n', begin) - begin));
  };
  const double expected = event_of("plan")["expected_memory_bytes"], measured = event_of("done")["peak_memory_bytes"];
  EXPECT_THAT(expected / measured, AllOf(Gt(1 / factor), Lt(factor))) << expected << " and " << measured << " bytes";
}

TEST(ForecastMemory, IsHeldAgainstWhatTheMachineHas) {
  GenerateOptions options;
  options.model = tiny_model;
  options.prompt = "a red circle";
  options.device = DeviceChoice::cpu;
  const Render render = resolve(options, open_model(options));
  const std::set<Phase> all = {Phase::encode, Phase::denoise, Phase::decode};
  const double expected = expected_memory(render, all);
  EXPECT_EQ(check_memory(render, all, {.total = 2 * expected, .available = 2 * expected}), "");
  EXPECT_THAT(check_memory(render, all, {.total = 2 * expected, .available = expected / 2}),
              AllOf(HasSubstr("48x32 with 17 frames takes about"), HasSubstr("are free")));
  const MachineMemory too_little{.total = expected / 2, .available = expected / 2};
  EXPECT_THAT(error_text([&] { (void)check_memory(render, all, too_little); }), HasSubstr(", this machine has "));
  const MachineMemory limited{.total = expected / 2, .available = expected / 2, .is_limited = true};
  EXPECT_THAT(error_text([&] { (void)check_memory(render, all, limited); }), HasSubstr(", --gpu-memory-limit allows "));
  EXPECT_LE(expected_memory(render, {Phase::decode}), expected);
}

TEST(ForecastMemory, IsTheLargestOfThePhasesItStates) {
  const Render render = default_clip("full", 2);
  const Plan plan = resolve_attention(render, identify(*render.model));
  const Forecast forecast = forecast_of(render, plan, {});
  const nlohmann::ordered_json& phases = forecast.fields.at("expected_phase_bytes");
  std::uint64_t most = 0;
  for (const char* phase : {"text", "denoise", "decode"}) most = std::max(most, phases.at(phase).get<std::uint64_t>());
  EXPECT_EQ(forecast.fields.at("expected_memory_bytes"), most);
  EXPECT_EQ(phases.at("decode"), static_cast<std::uint64_t>(expected_memory(render, {Phase::decode})));
  EXPECT_THAT(forecast.text, HasSubstr(" at the peak: text "));
}

TEST(MachineMemory, IsWhatThisMachineHas) {
  const MachineMemory memory = machine_memory(at::kCPU);
  EXPECT_GT(memory.available, 1e6);
  EXPECT_LT(memory.available, memory.total);
}

}  // namespace
}  // namespace bitreel::test
