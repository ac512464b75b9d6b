// The examples of the headers of schedulers/precision, as they stand there.
#include "tests/manual_examples.h"

#include <gmock/gmock.h>

#include <iterator>

#include "schedulers/precision/attention_choice.h"
#include "schedulers/precision/guard.h"
#include "schedulers/precision/measurement.h"
#include "schedulers/precision/plan_file.h"
#include "schedulers/precision/planner.h"
#include "schedulers/precision/ranges.h"
#include "schedulers/precision/rank_correlation.h"
#include "schedulers/precision/sage1_adaptive.h"
#include "tests/schedulers/precision/measurements.h"

namespace bitreel::test {
namespace {

const PlanTarget target = target_of(2, 5);

// 8 and 4 bits and SageAttention's two kernels; cells err more from step to step and layer to layer.
Measurement made_up() {
  return measure(
      {.design = design_of(2, 5, {Precision::int8, Precision::int4, Precision::sage1_vb, Precision::sage1_b}),
       .seconds = {{Precision::full, 0.004},
                   {Precision::int8, 0.002},
                   {Precision::int4, 0.001},
                   {Precision::sage1_vb, 0.0025},
                   {Precision::sage1_b, 0.003}},
       .errors = [](const CellKey& key, int) {
         return off_by(0.0001 * static_cast<double>(1 + key.step + 5 * key.layer));
       }});
}

TEST(ManualExamples, AreAllHere) {
  EXPECT_THAT(examples_not_in("tests/schedulers/precision/manual_examples_test.cpp", {"schedulers/precision"},
                              /*formats=*/{"plan_file.h", "measurement_file.h"}),
              testing::IsEmpty());
}

TEST(ManualExamples, OfAttentionChoice) {
  AttentionChoice choice = parse_attention("first-last:3=int8,rest=int4");  // before anything is loaded
  const Plan plan = resolve(choice, target);                                // once layers and timesteps are known
  EXPECT_EQ(plan.rows().size(), 5U);
}

TEST(ManualExamples, OfPlan) {
  const std::int64_t timestep = 500;
  int attended = 0;
  const auto attend_in = [&](Precision) { ++attended; };
  const Plan plan = resolve(parse_attention("first-last:3=int8,rest=int4"), target);  // attention_choice.h
  const PrecisionRow& row = plan.row(timestep);  // once per step, for all guidance branches
  for (const Precision precision : row) attend_in(precision);
  EXPECT_EQ(attended, 2);
}

TEST(ManualExamples, OfGuard) {
  const std::int64_t steps = 5, heads = 4;
  Plan plan = resolve(parse_attention("int4"), target);
  plan.bound = 0.1;
  const auto error_of_head = [](std::int64_t) { return off_by(0.2); };
  Guard guard(plan, {.every = 5});
  for (std::int64_t step = 0; step < steps; ++step) {
    const PrecisionRow row = guard.row(step);  // the plan's, or more bits where the guard has moved a layer
    if (!guard.due(step)) continue;            // one head of each layer that is not in full precision
    for (std::int64_t layer = 0; layer < std::ssize(row); ++layer) {
      if (row[layer] != Precision::full) guard.observe(step, layer, error_of_head(guard.head(step, layer, heads)));
    }
  }
  EXPECT_EQ(guard.row(4), (PrecisionRow{Precision::int8, Precision::int8}));
}

TEST(ManualExamples, OfMeasurement) {
  const MeasurementDesign design = design_of(1, 1, {Precision::int4});
  Measurement measurement(design);
  PromptErrors errors(measurement.design(), {.text = "a red circle", .seed = 7});
  const CellKey cell{.layer = 0, .step = 0, .precision = Precision::int4};  // and every other of the design
  errors.set(cell, {.cosine = 0.996, .relative_l1 = 0.06, .rmse = 0.01});
  measurement.add(errors);                           // a prompt counts when it is whole
  measurement.add_seconds(Precision::int4, 0.0021);  // of one call at the design's shape; full precision too
  const double score = measurement.cell(cell).score.mean;
  EXPECT_NEAR(score, 0.996 * 0.94, 1e-12);
}

TEST(ManualExamples, OfPlanner) {
  const Measurement measurement = made_up();
  const Planner planner(measurement);
  const PlannedTable table = planner.share({.eight_bit = 0.3});  // the paper's rule
  const std::string file = to_yaml(table.plan);                  // plan_file.h
  const bool worth_it = table.seconds < planner.uniform(Precision::full).seconds && table.error < 0.01;
  const std::vector<ParetoPoint> front = planner.front();
  EXPECT_TRUE(worth_it);
  EXPECT_FALSE(front.empty());
  EXPECT_THAT(file, testing::HasSubstr("bitreel_plan: 1"));
}

TEST(ManualExamples, OfSage1Adaptive) {
  const Measurement measurement = made_up();
  const Plan plan = sage1_adaptive(measurement);  // of sage1-vb, and sage1-b or else full precision
  const PlannedTable table = Planner(measurement).judge(plan);
  EXPECT_EQ(table.plan.rows().front(), (PrecisionRow{Precision::sage1_vb, Precision::sage1_vb}));
}

TEST(ManualExamples, OfRanges) {
  const Range range = range_from("3-5", "plan.yaml:7: steps");    // {3, 5}
  const std::vector<std::string> texts = texts_of({0, 3, 4, 5});  // {"0", "3-5"}
  EXPECT_EQ(range, (Range{3, 5}));
  EXPECT_THAT(texts, testing::ElementsAre("0", "3-5"));
}

TEST(ManualExamples, OfRankCorrelation) {
  const Measurement measured = made_up(), held_out = made_up();
  const double rank = rank_correlation(measured, held_out, Precision::int4);  // 1: the same order; 0: no relation
  EXPECT_NEAR(rank, 1, 1e-12);
}

TEST(ManualExamples, OfTarget) {
  const PlanTarget target{.model = "pocket",
                          .model_hash = "9f86d081",
                          .scheduler = "ddim",
                          .layers = 12,
                          .timesteps = {999, 749, 499, 249}};
  EXPECT_EQ(problem_of(target), "");
}

}  // namespace
}  // namespace bitreel::test
