// Planners on measurements whose best plans are known.
#include "schedulers/precision/planner.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/error_text.h"
#include "tests/schedulers/precision/measurements.h"

namespace bitreel::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// 2 layers x 5 steps; the 4-bit error of step s in layer l is (1 + s + 5 l) / 100, the 8-bit error a tenth of that.
MadeUp ladder(double full_ms = 4, double int8_ms = 2, double int4_ms = 1) {
  return {.design = design_of(2, 5, {int8, int4}),
          .seconds = {{full, full_ms / 1e3}, {int8, int8_ms / 1e3}, {int4, int4_ms / 1e3}},
          .errors = [](const CellKey& key, int prompt) {
            const double four = 0.01 * static_cast<double>(1 + key.step + 5 * key.layer);
            return off_by((key.precision == int4 ? four : four / 10) * (prompt == 0 ? 1 : 0.5));
          }};
}

// One word per layer, one character per step.
std::string drawn(const Plan& plan) {
  std::string text;
  for (std::size_t layer = 0; layer < plan.rows().front().size(); ++layer) {
    if (layer > 0) text += ' ';
    for (const PrecisionRow& row : plan.rows()) text += row[layer] == full ? '#' : row[layer] == int8 ? '8' : '4';
  }
  return text;
}

TEST(Planner, ShareTakesTheWorstScoresToEightBits) {
  const Planner planner(measure(ladder()));
  struct Case {
    double eight, full;
    std::string table;
  };
  const std::vector<Case> cases = {
      {0, 0, "44444 44444"},    {0.1, 0, "44444 44448"},   {0.3, 0, "44444 44888"},   {0.5, 0, "44444 88888"},
      {1, 0, "88888 88888"},    {0.3, 0.1, "44444 4488#"}, {0.3, 0.3, "44444 44###"}, {1, 1, "##### #####"},
      {0.24, 0, "44444 44488"}, {0.26, 0, "44444 44888"},
  };
  for (const Case& c : cases) EXPECT_EQ(drawn(planner.share({.eight_bit = c.eight, .full = c.full}).plan), c.table);
  const PlannedTable table = planner.share({.eight_bit = 0.3});
  EXPECT_NEAR(table.error, (0.01 * (1 + 2 + 3 + 4 + 5 + 6 + 7) + 0.001 * (8 + 9 + 10)) / 10, 1e-12);
  EXPECT_NEAR(table.seconds, 7 * 0.001 + 3 * 0.002, 1e-15);
  EXPECT_NEAR(table.plan.bound.value(), 0.07, 1e-12) << "the worst of the cells that stay at 4 bits";
  EXPECT_EQ(table.plan.made_for(), target_of(2, 5));
}

TEST(Planner, RanksFullPrecisionByTheEightBitScores) {
  MadeUp made = ladder();
  made.errors = [](const CellKey& key, int) {
    const double rank = static_cast<double>(key.step + 5 * key.layer);
    return off_by(key.precision == int4 ? 0.1 + 0.01 * rank : 0.01 * (10 - rank));
  };
  EXPECT_EQ(drawn(Planner(measure(made)).share({.eight_bit = 0.5, .full = 0.1}).plan), "44444 #8888");
}

TEST(Planner, MinScoreTakesTheFastestThatHolds) {
  const Planner planner(measure(ladder()));
  EXPECT_EQ(drawn(planner.min_score(0.955).plan), "44448 88888");
  EXPECT_EQ(drawn(planner.min_score(0.9955).plan), "8888# #####");
  EXPECT_EQ(drawn(planner.min_score(0.5).plan), "44444 44444");
  const PlannedTable strict = planner.min_score(1);
  EXPECT_EQ(drawn(strict.plan), "##### #####");
  EXPECT_EQ(strict.plan.bound, std::nullopt) << "nothing errs in full precision";
  EXPECT_EQ(strict.error, 0);
  EXPECT_NEAR(planner.min_score(0.955).plan.bound.value(), 0.045, 1e-12);
}

TEST(Planner, MaxErrorIsTheFastestPlanThatHolds) {
  const Planner planner(measure(ladder()));
  struct Case {
    double error;
    std::string table;
  };
  // All at 4 bits err 0.055; a cell that goes to 8 bits takes away 0.9 of its hundredths, so the largest go first.
  const std::vector<Case> cases = {{0.06, "44444 44444"},   {0.0551, "44444 44444"}, {0.0461, "44444 44448"},
                                   {0.046, "44444 44448"},  {0.045, "44444 44488"},  {0.0056, "88888 88888"},
                                   {0.0046, "88888 8888#"}, {0, "##### #####"}};
  for (const Case& c : cases) {
    const PlannedTable table = planner.max_error(c.error);
    EXPECT_EQ(drawn(table.plan), c.table) << c.error;
    EXPECT_LE(table.error, c.error + 1e-12);
  }
}

// All 3^6 plans of 6 cells are tried: none within the error is faster by more than one exchange.
TEST(Planner, MaxErrorIsWithinOneExchangeOfTheOptimum) {
  std::mt19937 random(11);
  const auto uniform = [&random](double least, double most) {
    return std::uniform_real_distribution<double>(least, most)(random);
  };
  for (int round = 0; round < 40; ++round) {
    std::map<std::pair<std::int64_t, Precision>, double> drawn_errors;
    for (std::int64_t step = 0; step < 6; ++step) {
      drawn_errors[{step, int4}] = uniform(0.05, 0.3);
      drawn_errors[{step, int8}] = uniform(0, 0.05);
    }
    const Measurement measurement =
        measure({.design = design_of(1, 6, {int8, int4}),
                 .seconds = {{full, 3.0 + uniform(0, 3)}, {int8, 2.0 + uniform(0, 0.9)}, {int4, 1.0 + uniform(0, 0.9)}},
                 .errors = [&](const CellKey& key, int) {
                   return off_by(drawn_errors.at({key.step, key.precision}));
                 }});
    const Planner planner(measurement);
    const double allowed = uniform(0.01, 0.15);
    const PlannedTable ours = planner.max_error(allowed);
    ASSERT_LE(ours.error, allowed + 1e-12);
    double best = 1e9;
    for (int number = 0; number < 729; ++number) {
      double seconds = 0, error = 0;
      for (int step = 0, rest = number; step < 6; ++step, rest /= 3) {
        const Precision precision = std::array{full, int8, int4}[static_cast<std::size_t>(rest % 3)];
        seconds += planner.seconds(precision);
        error += planner.error(0, static_cast<std::size_t>(step), precision) / 6;
      }
      if (error <= allowed) best = std::min(best, seconds);
    }
    EXPECT_GE(ours.seconds, best - 1e-9);
    EXPECT_LT(ours.seconds, best + planner.seconds(full) - planner.seconds(int4)) << "round " << round;
  }
}

TEST(Planner, FrontFallsInErrorAndRisesInTime) {
  const Planner planner(measure(ladder()));
  const std::vector<ParetoPoint> front = planner.front();
  ASSERT_EQ(front.size(), 21U) << "ten cells, each with two exchanges";
  EXPECT_NEAR(front.front().error, 0.055, 1e-12);
  EXPECT_NEAR(front.front().seconds, 0.010, 1e-12);
  EXPECT_NEAR(front.back().error, 0, 1e-12);
  EXPECT_NEAR(front.back().seconds, 0.040, 1e-12);
  for (std::size_t i = 1; i < front.size(); ++i) {
    EXPECT_LT(front[i].error, front[i - 1].error);
    EXPECT_GT(front[i].seconds, front[i - 1].seconds);
    const PlannedTable there = planner.max_error(front[i].error + 1e-9);
    EXPECT_NEAR(there.seconds, front[i].seconds, 1e-9) << "every point is a plan";
  }
}

TEST(Planner, SaysWhereFourBitsBuyNothingAndTakesEight) {
  for (const double int4_ms : {2.0, 2.5, 1.99}) {
    const Planner planner(measure(ladder(4, 2, int4_ms)));
    EXPECT_THAT(planner.remarks(), ElementsAre(AllOf(HasSubstr("int4 buys nothing on this device"),
                                                     HasSubstr("int8 takes 2 ms"), HasSubstr("left out"))));
    EXPECT_THAT(planner.candidates(), ElementsAre(int8, full));
    EXPECT_EQ(drawn(planner.share({.eight_bit = 0.3}).plan), "88888 88888");
    EXPECT_EQ(drawn(planner.share({.eight_bit = 0.3, .full = 0.1}).plan), "88888 8888#");
    EXPECT_EQ(drawn(planner.max_error(1).plan), "88888 88888");
    EXPECT_EQ(drawn(planner.min_score(0).plan), "88888 88888");
  }
  EXPECT_THAT(Planner(measure(ladder(4, 2, 1.9))).remarks(), IsEmpty());
}

TEST(Planner, TakesFullPrecisionWhereEightBitsBuyNothingEither) {
  const Planner planner(measure(ladder(1, 2, 3)));
  EXPECT_THAT(planner.candidates(), ElementsAre(full));
  EXPECT_THAT(planner.remarks(), Contains(HasSubstr("int8 buys nothing")));
  EXPECT_EQ(drawn(planner.max_error(1).plan), "##### #####");
  EXPECT_EQ(drawn(planner.share({.eight_bit = 0.3}).plan), "##### #####");
  EXPECT_EQ(drawn(Planner(measure(ladder(2, 3, 1))).share({.eight_bit = 0.3}).plan), "44444 44###");
  const Planner only_four(measure(ladder()), {.precisions = {int4}});
  EXPECT_THAT(error_text<UsageError>([&] { static_cast<void>(only_four.share({})); }),
              HasSubstr("nothing above 4 bits is left"));
}

TEST(Planner, UsesTheFastestOfALevelUnlessToldWhich) {
  MadeUp made = ladder();
  made.design.precisions = {int8, Precision::sage2_8b, int4};
  made.seconds[Precision::sage2_8b] = 0.0015;
  const Measurement measurement = measure(made);
  const auto last = [](const PlannedTable& table) { return table.plan.rows().back().back(); };
  EXPECT_EQ(last(Planner(measurement).share({.eight_bit = 0.1})), Precision::sage2_8b);
  EXPECT_EQ(last(Planner(measurement, {.precisions = {int4, int8}}).share({.eight_bit = 0.1})), int8);
  EXPECT_THAT(error_text<UsageError>([&] { Planner(measurement, {.precisions = {Precision::sage1_b}}); }),
              AllOf(HasSubstr("sage1-b was not measured"), HasSubstr("measured are int8, sage2-8b, int4")));
}

TEST(Planner, JudgesByTheMeanOrTheWorstPrompt) {
  MadeUp made = ladder();
  made.prompts = 2;  // the second errs half as much
  const Measurement measurement = measure(made);
  EXPECT_NEAR(Planner(measurement).uniform(int4).error, 0.055 * 0.75, 1e-12);
  EXPECT_NEAR(Planner(measurement, {.judged_by = PromptStatistic::worst}).uniform(int4).error, 0.055, 1e-12);
  EXPECT_NEAR(Planner(measurement).uniform(int4).plan.bound.value(), 0.1, 1e-12) << "the bound is of the worst";
}

TEST(Planner, TakesTheNearestOfWhatWasMeasured) {
  MadeUp made = ladder();
  made.design.layers = {1};
  made.design.steps = {0, 4};
  const Planner planner(measure(made));
  EXPECT_THAT(planner.remarks(), ElementsAre(HasSubstr("1 of 2 layers and 2 of 5 steps were measured")));
  for (const std::size_t layer : {0U, 1U}) {
    EXPECT_NEAR(planner.error(layer, 1, int4), 0.06, 1e-12);
    EXPECT_NEAR(planner.error(layer, 2, int4), 0.06, 1e-12) << "halfway: the first";
    EXPECT_NEAR(planner.error(layer, 3, int4), 0.10, 1e-12);
  }
  EXPECT_EQ(drawn(planner.min_score(0.93).plan), "44488 44488");
}

TEST(Planner, RefusesQuestionsWithoutAnAnswer) {
  const Planner planner(measure(ladder())), quantized(measure(ladder()), {.precisions = {int8, int4}});
  struct Case {
    std::function<void()> ask;
    std::string complaint;
  };
  const double nan = std::nan("");
  const std::vector<Case> cases = {
      {[&] { static_cast<void>(planner.share({.eight_bit = 1.1})); }, "the 8-bit share is 110 %, expected 0 to 100 %"},
      {[&] { static_cast<void>(planner.share({.eight_bit = nan})); }, "the 8-bit share is nan"},
      {[&] { static_cast<void>(planner.share({.eight_bit = 0.5, .full = -0.1})); },
       "the full-precision share is -10 %"},
      {[&] { static_cast<void>(planner.share({.eight_bit = 0.1, .full = 0.2})); }, "is part of the 8-bit share 10 %"},
      {[&] { static_cast<void>(planner.min_score(1.5)); }, "the least score is 1.5"},
      {[&] { static_cast<void>(planner.min_score(nan)); }, "the least score is nan"},
      {[&] { static_cast<void>(planner.max_error(-1)); }, "the largest error is -1"},
      {[&] { static_cast<void>(planner.max_error(nan)); }, "the largest error is nan"},
      {[&] { static_cast<void>(quantized.min_score(0.9955)); }, "no precision scores 0.9955 in layer 1 of step 0"},
      {[&] { static_cast<void>(quantized.max_error(0.001)); }, "no plan has a predicted error of 0.001 or less"},
      {[&] {
         static_cast<void>(planner.judge(planner.uniform(int8).plan.on({999, 1})));
       },
       "other layers or timesteps"},
  };
  for (const Case& c : cases) EXPECT_THAT(error_text<UsageError>(c.ask), HasSubstr(c.complaint));
  EXPECT_THAT(
      error_text([] {
        Planner(measure({.design = design_of(1, 1, {int4}), .seconds = {{int4, 1}}, .errors = [](const CellKey&, int) {
                           return off_by(0);
                         }}));
      }),
      HasSubstr("full was not timed"));
}

}  // namespace
}  // namespace bitreel::test
