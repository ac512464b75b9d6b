// What a measurement keeps of its prompts, and what it does not take.
#include "schedulers/precision/measurement.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "tests/error_text.h"
#include "tests/schedulers/precision/measurements.h"

namespace bitreel::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const CellKey corner{.layer = 0, .step = 0, .precision = Precision::int4};
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

MadeUp noisy(int first_prompt, int prompts) {
  return {.design = design_of(2, 3, {Precision::int8, Precision::int4}),
          .seconds = {{Precision::full, 3.0}, {Precision::int8, 2.0}, {Precision::int4, 1.0}},
          .errors =
              [](const CellKey& key, int prompt) {
                std::mt19937 random(static_cast<unsigned>(1000L * prompt + 100 * key.layer + 10 * key.step) +
                                    static_cast<unsigned>(key.precision));
                const auto next = [&random] { return 1e-6 * static_cast<double>(random() % 100000); };
                return CellError{.cosine = 1 - next(), .relative_l1 = next(), .rmse = next()};
              },
          .prompts = prompts,
          .first_prompt = first_prompt};
}

TEST(Spread, IsThatOfAllItsValuesHoweverTheyCame) {
  const std::vector<double> values = {1e6 + 3, 1e6 - 1, 1e6 + 7, 1e6, 1e6 + 1};
  const double mean = 1e6 + 2;                                     // of the values
  const double deviation = std::sqrt((1.0 + 9 + 25 + 4 + 1) / 4);  // of a sample of five
  for (std::size_t split = 0; split <= values.size(); ++split) {
    Spread spread, rest;
    for (std::size_t i = 0; i < values.size(); ++i) (i < split ? spread : rest).add(values[i], Worst::highest);
    spread.merge(rest, Worst::highest);
    EXPECT_EQ(spread.count, 5U);
    EXPECT_NEAR(spread.mean, mean, 1e-9);
    EXPECT_NEAR(spread.deviation(), deviation, 1e-9);
    EXPECT_EQ(spread.worst, 1e6 + 7);
  }
}

TEST(Spread, OfOneValueHasNoDeviation) {
  Spread spread;
  spread.add(-2, Worst::lowest);
  EXPECT_EQ(spread.mean, -2);
  EXPECT_EQ(spread.worst, -2);
  EXPECT_EQ(spread.deviation(), 0);
}

TEST(Measurement, KeepsMeanSpreadAndWorstOverPrompts) {
  // Scores by hand: 0.9 * (1 - 0.2) = 0.72 and 0.8 * (1 - 0.1) = 0.72, 0.6 * 1 = 0.6; their mean is 0.68.
  const std::vector<CellError> of_prompt = {{.cosine = 0.9, .relative_l1 = 0.2, .rmse = 0.5},
                                            {.cosine = 0.8, .relative_l1 = 0.1, .rmse = 0.25},
                                            {.cosine = 0.6, .relative_l1 = 0, .rmse = 0.125}};
  const Measurement measurement =
      measure({.design = design_of(1, 1, {Precision::int4}),
               .seconds = {},
               .errors = [&](const CellKey&, int prompt) { return of_prompt[static_cast<std::size_t>(prompt)]; },
               .prompts = 3});
  const CellStatistics& cell = measurement.cell(corner);
  EXPECT_NEAR(cell.score.mean, 0.68, 1e-15);
  EXPECT_NEAR(cell.score.worst, 0.6, 1e-15);
  EXPECT_NEAR(cell.score.deviation(), std::sqrt((0.04 * 0.04 * 2 + 0.08 * 0.08) / 2), 1e-15);
  EXPECT_NEAR(cell.cosine.mean, 2.3 / 3, 1e-15);
  EXPECT_EQ(cell.cosine.worst, 0.6);
  EXPECT_EQ(cell.relative_l1.worst, 0.2);
  EXPECT_EQ(cell.rmse.worst, 0.5);
  EXPECT_THAT(measurement.prompts(),
              ElementsAre(MeasuredPrompt{"prompt 0", 0}, MeasuredPrompt{"prompt 1", 1}, MeasuredPrompt{"prompt 2", 2}));
}

TEST(Measurement, MergesIntoWhatOneRunWouldHaveGiven) {
  const Measurement whole = measure(noisy(0, 5));
  Measurement merged = measure(noisy(0, 2));
  merged.merge(measure(noisy(2, 3)), "MORE.json");
  EXPECT_EQ(merged.prompts(), whole.prompts());
  for (const std::int64_t layer : {0, 1}) {
    for (const std::int64_t step : {0, 1, 2}) {
      for (const Precision precision : {Precision::int8, Precision::int4}) {
        const CellKey key{.layer = layer, .step = step, .precision = precision};
        const Spread &a = whole.cell(key).score, &b = merged.cell(key).score;
        EXPECT_NEAR(a.mean, b.mean, 1e-14);
        EXPECT_NEAR(a.deviation(), b.deviation(), 1e-14);
        EXPECT_EQ(a.worst, b.worst);
        EXPECT_EQ(a.count, b.count);
      }
    }
  }
  EXPECT_THAT(merged.seconds(Precision::int4), ElementsAre(1.0, 1.0));
}

TEST(Measurement, TakesTheMedianAndTheMeanOfItsTimes) {
  Measurement measurement(design_of(1, 1, {Precision::int4}));
  for (const double seconds : {5.0, 1.0, 2.0}) measurement.add_seconds(Precision::int4, seconds);
  EXPECT_EQ(measurement.median_seconds(Precision::int4), 2.0);
  measurement.add_seconds(Precision::int4, 4.0);
  EXPECT_EQ(measurement.median_seconds(Precision::int4), 3.0);
  EXPECT_EQ(measurement.mean_seconds(Precision::int4), 3.0);
  EXPECT_THAT(error_text([&] { static_cast<void>(measurement.median_seconds(Precision::full)); }),
              HasSubstr("full was not timed"));
  EXPECT_THAT(error_text([&] { measurement.add_seconds(Precision::int8, 1); }),
              HasSubstr("int8 was timed, but is not part"));
  for (const double seconds : {0.0, -1.0, nan, infinity})
    EXPECT_THAT(error_text([&] { measurement.add_seconds(Precision::int4, seconds); }), HasSubstr("expected a time"));
}

TEST(Measurement, CountsAPromptOnlyWhenItIsWhole) {
  const MeasurementDesign design = design_of(2, 1, {Precision::int4});
  Measurement measurement(design);
  PromptErrors errors(design, {.text = "a red circle", .seed = 7});
  errors.set(corner, off_by(0.1));
  EXPECT_THAT(error_text([&] { measurement.add(errors); }),
              HasSubstr("\"a red circle\": layer 1, step 0, int4 was not measured"));
  EXPECT_EQ(measurement.prompts().size(), 0U);
  EXPECT_EQ(measurement.cell(corner).score.count, 0U);
  EXPECT_THAT(error_text([&] { errors.set(corner, off_by(0.1)); }),
              HasSubstr("layer 0, step 0, int4 is measured twice"));
  errors.set({.layer = 1, .step = 0, .precision = Precision::int4}, off_by(0.2));
  measurement.add(errors);
  EXPECT_TRUE(measurement.has({.text = "a red circle", .seed = 7}));
  EXPECT_FALSE(measurement.has({.text = "a red circle", .seed = 8}));
  EXPECT_THAT(error_text([&] { measurement.add(errors); }), HasSubstr("with seed 7 is measured already"));
}

TEST(Measurement, RefusesErrorsThatCannotBe) {
  PromptErrors errors(design_of(1, 1, {Precision::int4}), {.text = "a prompt", .seed = 0});
  const std::vector<CellError> impossible = {
      {.cosine = nan, .relative_l1 = 0, .rmse = 0},      {.cosine = 1.01, .relative_l1 = 0, .rmse = 0},
      {.cosine = -1.01, .relative_l1 = 0, .rmse = 0},    {.cosine = 1, .relative_l1 = nan, .rmse = 0},
      {.cosine = 1, .relative_l1 = infinity, .rmse = 0}, {.cosine = 1, .relative_l1 = -0.1, .rmse = 0},
      {.cosine = 1, .relative_l1 = 0, .rmse = nan},      {.cosine = 1, .relative_l1 = 0, .rmse = -1}};
  for (const CellError& error : impossible)
    EXPECT_THAT(error_text([&] { errors.set(corner, error); }), HasSubstr("layer 0, step 0, int4: cosine"));
  for (const CellKey& key : {CellKey{1, 0, Precision::int4}, CellKey{0, 1, Precision::int4},
                             CellKey{0, 0, Precision::int8}, CellKey{-1, 0, Precision::int4}})
    EXPECT_THAT(error_text([&] { errors.set(key, off_by(0)); }), HasSubstr("is not part of this measurement"));
}

TEST(Measurement, RefusesToMergeWhatDoesNotGoTogether) {
  struct Case {
    std::function<void(MadeUp&)> change;
    std::string complaint;
  };
  const std::vector<Case> cases = {
      {[](MadeUp& m) { m.design.made_for.model_hash = "0"; }, "the model: pocket (9f86d081) and pocket (0)"},
      {[](MadeUp& m) { m.design.made_for.scheduler = "dpm"; }, "the scheduler: ddim and dpm"},
      {[](MadeUp& m) { m.design.made_for.timesteps.back() -= 1; }, "the timesteps of 3 and 3 steps"},
      {[](MadeUp& m) { m.design.device = "another"; }, "the device: a device and another"},
      {[](MadeUp& m) { m.design.shape.keys = 7; }, "the shape of an attention call"},
      {[](MadeUp& m) {
         m.design.precisions = {Precision::int4, Precision::int8};
       },
       "the precisions"},
      {[](MadeUp& m) {
         m.design.heads = {0, 2};
       },
       "the sampled heads, layers or steps"},
      {[](MadeUp& m) { m.first_prompt = 1; }, "\"prompt 1\" with seed 1 is in another measurement already"},
  };
  for (const Case& c : cases) {
    Measurement first = measure(noisy(0, 2));
    MadeUp other = noisy(2, 2);
    c.change(other);
    EXPECT_THAT(error_text([&] { first.merge(measure(other), "MORE.json"); }), HasSubstr(c.complaint));
    EXPECT_EQ(first.prompts().size(), 2U) << "a refused merge changes nothing";
  }
}

TEST(Measurement, RefusesADesignThatIsNone) {
  struct Case {
    std::function<void(MeasurementDesign&)> change;
    std::string complaint;
  };
  const std::vector<Case> cases = {
      {[](MeasurementDesign& d) { d.device = ""; }, "the device has no name"},
      {[](MeasurementDesign& d) { d.shape.queries = 0; }, "holds 0, expected sizes from 1"},
      {[](MeasurementDesign& d) { d.heads = {}; }, "no heads are sampled"},
      {[](MeasurementDesign& d) { d.heads = {4}; }, "4 is among the sampled heads, expected 0 to 3"},
      {[](MeasurementDesign& d) {
         d.layers = {1, 0};
       },
       "0 follows 1 in the sampled layers"},
      {[](MeasurementDesign& d) {
         d.steps = {1, 1};
       },
       "1 follows 1 in the sampled steps"},
      {[](MeasurementDesign& d) { d.steps = {-1}; }, "-1 is among the sampled steps"},
      {[](MeasurementDesign& d) { d.precisions = {}; }, "there are no precisions"},
      {[](MeasurementDesign& d) { d.precisions = {Precision::full}; }, "full is among the precisions"},
      {[](MeasurementDesign& d) {
         d.precisions = {Precision::int4, Precision::int4};
       },
       "int4 is given twice"},
      {[](MeasurementDesign& d) { d.made_for.layers = 0; }, "layers is 0"},
  };
  for (const Case& c : cases) {
    MeasurementDesign design = design_of(2, 3, {Precision::int8, Precision::int4});
    c.change(design);
    EXPECT_THAT(error_text([&] { Measurement{design}; }), HasSubstr(c.complaint));
  }
}

}  // namespace
}  // namespace bitreel::test
