// Steps that are recorded and played again, where there is a GPU; on a CPU every one is launched. And which steps are
// equal to each other.
#include "pipelines/model/step_graphs.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>

#include <utility>

#include "attention/attention.h"
#include "pipelines/layers/work_clock.h"
#include "pipelines/model/planned_attention.h"
#include "tests/test_device.h"

namespace bitreel {
namespace {

LayerAttention repeating(const std::string& key) {
  LayerAttention attention = full_attention();
  attention.repeats = key;
  return attention;
}

class Graphs : public testing::Test {
 protected:
  const c10::InferenceMode no_gradients;
  RunOptions options{.dtype = at::kFloat, .device = test_device(), .graphs = CudaGraphs::recorded};
  bool records = why_no_graphs(options).empty();
  int launches = 0;
  at::Tensor weight = at::full({8, 8}, 0.5, at::TensorOptions(at::kFloat)).to(options.device);
  std::vector<std::string> remarks;
  StepGraphs::Step step = [this](const std::vector<at::Tensor>& in) {
    ++launches;
    return at::mm(in[0], weight) + in[1];
  };

  [[nodiscard]] at::Tensor filled(double value) const {
    return at::full({8, 8}, value, at::TensorOptions(at::kFloat)).to(options.device);
  }
  // With inputs that differ from call to call.
  void expect_steps(StepGraphs& graphs, const std::string& key, int count) {
    for (int i = 1; i <= count; ++i) {
      const at::Tensor y = graphs.run(repeating(key), {filled(i), filled(100 * i)}, step);
      EXPECT_TRUE(at::equal(y, filled(4.0 * i + 100 * i))) << key << ", step " << i;
    }
  }
  [[nodiscard]] std::function<void(const std::string&)> remark() {
    return [this](const std::string& text) { remarks.push_back(text); };
  }
};

TEST_F(Graphs, LaunchAStepRecordItAndPlayIt) {
  StepGraphs graphs(options, remark());
  expect_steps(graphs, "int8", 5);
  expect_steps(graphs, "full", 5);
  expect_steps(graphs, "int8", 5);
  EXPECT_EQ(launches, records ? 4 : 15);
  EXPECT_TRUE(remarks.empty());
}

TEST_F(Graphs, KeepTheirResultsWhateverIsPlayedNext) {
  StepGraphs graphs(options, remark());
  std::vector<at::Tensor> kept;
  kept.reserve(4);
  for (int i = 0; i < 4; ++i) kept.push_back(graphs.run(repeating("full"), {filled(i), filled(0)}, step));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(at::equal(kept[static_cast<std::size_t>(i)], filled(4.0 * i)));
}

TEST_F(Graphs, LaunchWhatHasNoKeyAndWhatIsTimed) {
  StepGraphs graphs(options, remark());
  LayerAttention looks = full_attention();
  looks.repeats.reset();
  for (int i = 0; i < 3; ++i) (void)graphs.run(looks, {filled(i), filled(i)}, step);
  EXPECT_EQ(launches, 3);
  WorkClock clock(options.device);
  const WorkClock::Listening listening(clock);
  expect_steps(graphs, "full", 3);
  EXPECT_EQ(launches, 6);
}

TEST_F(Graphs, BeginAnewAfterWhatTheyReadHasChanged) {
  StepGraphs graphs(options, remark());
  expect_steps(graphs, "full", 3);
  graphs.forget();
  weight = 2 * weight;
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(at::equal(graphs.run(repeating("full"), {filled(i), filled(0)}, step), filled(8.0 * i)));
  }
}

TEST_F(Graphs, SayWhyAStepIsLaunchedAfterAll) {
  StepGraphs graphs(options, remark());
  step = [this](const std::vector<at::Tensor>& in) {
    ++launches;
    return in[0] * in[1].sum().item<double>();  // the host waits for the device
  };
  for (int i = 1; i <= 4; ++i) {
    EXPECT_TRUE(at::equal(graphs.run(repeating("full"), {filled(i), filled(1)}, step), filled(64.0 * i)));
  }
  ASSERT_EQ(remarks.size(), records ? 1U : 0U);
  for (const std::string& text : remarks) EXPECT_THAT(text, testing::StartsWith("steps are launched kernel by kernel"));
}

TEST_F(Graphs, GiveTheirMemoryToAStepThatLacksIt) {
  StepGraphs graphs(options, remark());
  expect_steps(graphs, "full", 3);
  bool lacks = true;
  step = [&](const std::vector<at::Tensor>& in) {
    TORCH_CHECK_WITH(OutOfMemoryError, !std::exchange(lacks, false), "no memory");
    return at::mm(in[0], weight) + in[1];
  };
  if (records) {
    expect_steps(graphs, "int8", 3);
    EXPECT_THAT(remarks, testing::ElementsAre(testing::HasSubstr("too little memory")));
  } else {
    EXPECT_THROW(expect_steps(graphs, "int8", 1), c10::OutOfMemoryError) << "nothing is held that could go";
  }
}

TEST(WhyNoGraphs, IsSaidOfCpusOfTheSwitchAndOfLayersThatComeAndGo) {
  EXPECT_EQ(why_no_graphs({.device = at::kCPU}), "the device is a CPU");
  EXPECT_EQ(why_no_graphs({.device = at::kCUDA}), "they are switched off");
  EXPECT_EQ(why_no_graphs({.device = at::kCUDA, .graphs = CudaGraphs::recorded, .offload = Offload::layers}),
            "layers come from host memory while others compute");
}

TEST(RepeatedSteps, AreThoseOfOneRowOfThePlanInWhichNothingIsLookedAt) {
  const PrecisionRow eight = {Precision::int8, Precision::full}, four = {Precision::int4, Precision::full};
  Plan plan({.model = "m", .model_hash = "h", .scheduler = "ddim", .layers = 2, .timesteps = {900, 600, 300, 0}},
            {eight, four, eight, eight});
  plan.bound = 1;
  AttendReport report;
  const auto keys_of = [&](PlannedAttentionOptions options) {
    options.report = &report;
    PlannedAttention planned(plan, std::move(options));
    std::vector<std::string> keys;
    for (std::int64_t i = 0; i < 4; ++i) {
      keys.push_back(planned({.index = i, .count = 4, .timestep = 900 - 300 * i}).repeats.value_or("looks"));
    }
    return keys;
  };
  const std::vector<std::string> keys = keys_of({});
  EXPECT_EQ(keys[0], keys[2]);
  EXPECT_EQ(keys[0], keys[3]);
  EXPECT_NE(keys[0], keys[1]);
  EXPECT_EQ(keys_of({.guard = GuardOptions{.every = 2}}),
            (std::vector<std::string>{"looks", keys[1], "looks", keys[3]}));
  AttentionTimes times;
  EXPECT_EQ(keys_of({.times = &times}), std::vector<std::string>(4, "looks"));
}

TEST(RepeatedSteps, AreCountedInTheReport) {
  const Plan plan({.model = "m", .model_hash = "h", .scheduler = "ddim", .layers = 2, .timesteps = {900}},
                  {{Precision::int8, Precision::full}});
  AttendReport report;
  PlannedAttention planned(plan, {.report = &report});
  const LayerAttention attention = planned({.index = 0, .count = 1, .timestep = 900});
  const at::Tensor q = at::ones({1, 1, 4, 16});
  for (const std::int64_t layer : {0, 1}) (void)attention(layer, q, q, q);
  attention.repeated();
  attention.repeated();
  ASSERT_EQ(report.rows().size(), 2U);
  for (const AttendReport::Row& row : report.rows()) EXPECT_EQ(row.calls, 3) << name_of(row.precision);
}

TEST(RepeatedSteps, OfSeveralClipsAreThoseOfEach) {
  int told = 0;
  const auto clip = [&](std::optional<std::string> key) {
    LayerAttention attention = full_attention();
    attention.repeats = std::move(key);
    attention.repeated = [&] { ++told; };
    return attention;
  };
  const LayerAttention both = each_on_its_own({clip("a"), clip("b")}, 2);
  EXPECT_EQ(both.repeats, each_on_its_own({clip("a"), clip("b")}, 2).repeats);
  EXPECT_NE(both.repeats, each_on_its_own({clip("b"), clip("a")}, 2).repeats);
  EXPECT_FALSE(each_on_its_own({clip("a"), clip(std::nullopt)}, 2).repeats);
  both.repeated();
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace bitreel
