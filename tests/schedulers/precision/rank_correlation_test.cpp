// Spearman's correlation of cells' scores, against values worked out by hand.
#include "schedulers/precision/rank_correlation.h"

#include "tests/error_text.h"

namespace bitreel {
namespace {

// One layer, as many steps as there are errors.
Measurement measured(const std::vector<double>& relative_l1, std::uint64_t seed = 1) {
  PlanTarget target{.model = "m", .model_hash = "h", .scheduler = "ddim", .layers = 1, .timesteps = {}};
  for (std::size_t i = 0; i < relative_l1.size(); ++i) {
    target.timesteps.push_back(999 - 10 * static_cast<std::int64_t>(i));
  }
  Measurement measurement(MeasurementDesign::whole(target, "a device", {}, {Precision::int4}));
  PromptErrors errors(measurement.design(), {.text = "p", .seed = seed});
  for (std::size_t i = 0; i < relative_l1.size(); ++i) {
    errors.set({.layer = 0, .step = static_cast<std::int64_t>(i), .precision = Precision::int4},
               {.cosine = 1, .relative_l1 = relative_l1[i], .rmse = 0});
  }
  measurement.add(errors);
  return measurement;
}

TEST(RankCorrelation, SeesOrderOnly) {
  const Measurement rising = measured({.1, .2, .3, .4});
  EXPECT_DOUBLE_EQ(rank_correlation(rising, measured({.01, .5, .6, .61}), Precision::int4), 1);
  EXPECT_DOUBLE_EQ(rank_correlation(rising, measured({.4, .3, .2, .1}), Precision::int4), -1);
  // Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 * 4 / (4 * 15).
  EXPECT_DOUBLE_EQ(rank_correlation(rising, measured({.2, .1, .4, .3}), Precision::int4), 0.6);
}

TEST(RankCorrelation, GivesTiesTheirMeanRank) {
  // Ranks 0 1 2 3 and 0 1.5 1.5 3: covariance 4.5, variances 5 and 4.5.
  EXPECT_NEAR(rank_correlation(measured({.1, .2, .3, .4}), measured({.1, .2, .2, .4}), Precision::int4),
              4.5 / std::sqrt(5 * 4.5), 1e-12);
}

TEST(RankCorrelation, RefusesOtherCells) {
  EXPECT_THAT(error_text([] {
                (void)rank_correlation(measured({.1, .2}), measured({.1, .2, .3}), Precision::int4);
              }),
              testing::HasSubstr("can't be compared"));
}

}  // namespace
}  // namespace bitreel
