// The examples of this room's headers (tests/app/manuals_test.cpp compares).
#include <gmock/gmock.h>

#include <iterator>

#include "schedulers/precision/attention_choice.h"
#include "schedulers/precision/guard.h"
#include "schedulers/precision/measurement.h"
#include "schedulers/precision/measurement_file.h"
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

TEST(Examples, OfAttentionChoice) {
  AttentionChoice choice = parse_attention("first-last:3=int8,rest=int4");  // before anything is loaded
  const Plan plan = resolve(choice, target);                                // once layers and timesteps are known
  EXPECT_EQ(plan.rows().size(), 5U);
}

TEST(Examples, OfPlan) {
  const std::int64_t timestep = 500;
  int attended = 0;
  const auto attend_in = [&](Precision) { ++attended; };
  const Plan plan = resolve(parse_attention("first-last:3=int8,rest=int4"), target);  // attention_choice.h
  const PrecisionRow& row = plan.row(timestep);  // once per step, for all guidance branches
  for (const Precision precision : row) attend_in(precision);
  EXPECT_EQ(attended, 2);
}

TEST(Examples, OfGuard) {
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

TEST(Examples, OfMeasurement) {
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

TEST(Examples, OfPlanner) {
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

TEST(Examples, OfSage1Adaptive) {
  const Measurement measurement = made_up();
  const Plan plan = sage1_adaptive(measurement);  // of sage1-vb, and sage1-b or else full precision
  const PlannedTable table = Planner(measurement).judge(plan);
  EXPECT_EQ(table.plan.rows().front(), (PrecisionRow{Precision::sage1_vb, Precision::sage1_vb}));
}

TEST(Examples, OfPlanFiles) {
  const Plan plan = plan_from_yaml(R"(
bitreel_plan: 1                      # the format's version
made_for:
  model: "pocket"
  model_hash: "9f86d081"
  scheduler: "ddim"
  layers: 12
  timesteps: [999, 799, 599, 399, 199]   # one per step
note: "bitreel plan --share 30%"     # optional
bound: 0.04                          # optional: the error of a call, 1 - score, that --guard lets pass
default: int4                        # of every cell that no rule names; optional when the rules name all
rules:                               # optional; layers and steps count from 0; one left out means all of them
  - {precision: int8, steps: 0-1}
  - {precision: full, steps: [2, 3-4], layers: [0, 5-7]}
)",
                                   "plan.yaml");
  EXPECT_EQ(plan.rows()[1][0], Precision::int8);
  EXPECT_EQ(plan.rows()[4][6], Precision::full);
  EXPECT_EQ(plan.rows()[4][1], Precision::int4);
}

TEST(Examples, OfMeasurementFiles) {
  const Measurement measurement = measurement_from_json(R"(
{"bitreel_measurement": 1,
 "made_for": {"model": "pocket", "model_hash": "9f86d081", "scheduler": "ddim", "layers": 12, "timesteps": [999, 499]},
 "device": "AMD EPYC 9R14, 2 threads",
 "shape": {"batch": 2, "heads": 4, "queries": 2018, "keys": 2018, "head_dim": 64},
 "sampled": {"heads": [0, 1, 2, 3], "layers": [5], "steps": [0, 1]},
 "precisions": ["int8"],
 "prompts": [{"text": "a red circle moves right", "seed": 7}, {"text": "a blue star", "seed": 8}],
 "seconds": {"full": [0.0101, 0.0103], "int8": [0.0062, 0.0061]},
 "cells": [{"layer": 5, "step": 0, "precision": "int8", "cosine": [0.999, 0.0001, 0.998],
            "relative_l1": [0.02, 0.001, 0.03], "rmse": [0.01, 0.001, 0.02], "score": [0.98, 0.001, 0.97]},
           {"layer": 5, "step": 1, "precision": "int8", "cosine": [0.999, 0.0001, 0.998],
            "relative_l1": [0.02, 0.001, 0.03], "rmse": [0.01, 0.001, 0.02], "score": [0.98, 0.001, 0.97]}]}
)",
                                                        "MEASURED.json");
  EXPECT_EQ(measurement.cell({.layer = 5, .step = 1, .precision = Precision::int8}).score.mean, 0.98);
}

TEST(Examples, OfRanges) {
  const Range range = range_from("3-5", "plan.yaml:7: steps");    // {3, 5}
  const std::vector<std::string> texts = texts_of({0, 3, 4, 5});  // {"0", "3-5"}
  EXPECT_EQ(range, (Range{3, 5}));
  EXPECT_THAT(texts, testing::ElementsAre("0", "3-5"));
}

TEST(Examples, OfRankCorrelation) {
  const Measurement measured = made_up(), held_out = made_up();
  const double rank = rank_correlation(measured, held_out, Precision::int4);  // 1: the same order; 0: no relation
  EXPECT_NEAR(rank, 1, 1e-12);
}

TEST(Examples, OfTarget) {
  const PlanTarget target{.model = "pocket",
                          .model_hash = "9f86d081",
                          .scheduler = "ddim",
                          .layers = 12,
                          .timesteps = {999, 749, 499, 249}};
  EXPECT_EQ(problem_of(target), "");
}

}  // namespace
}  // namespace bitreel::test
