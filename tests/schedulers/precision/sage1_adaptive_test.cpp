// SageAttention's rule on measurements where it is known which layers hold.
#include "schedulers/precision/sage1_adaptive.h"

#include <gmock/gmock.h>

#include "schedulers/precision/planner.h"
#include "tests/error_text.h"
#include "tests/schedulers/precision/measurements.h"

namespace bitreel::test {
namespace {

constexpr auto vb = Precision::sage1_vb, b = Precision::sage1_b;

// 3 layers x 2 steps, two prompts. The fast kernel's cosine: 0.9995 in layer 0; 0.9995 but for one prompt of one step
// in layer 1; just the threshold in layer 2.
MadeUp three_layers(std::vector<Precision> precisions) {
  return {.design = design_of(3, 2, std::move(precisions)),
          .seconds = {{full, 0.004}, {vb, 0.001}, {b, 0.002}},
          .errors =
              [](const CellKey& key, int prompt) {
                if (key.precision != vb) return CellError{.cosine = 0.9999, .relative_l1 = 0.3};
                if (key.layer == 2) return CellError{.cosine = sage1_least_cosine, .relative_l1 = 0};
                const bool bad = key.layer == 1 && key.step == 1 && prompt == 1;
                return CellError{.cosine = bad ? 0.99 : 0.9995, .relative_l1 = 0.3};
              },
          .prompts = 2};
}

TEST(Sage1Adaptive, TakesTheFastKernelWhereItHoldsOnEveryInput) {
  const Plan plan = sage1_adaptive(measure(three_layers({vb, b})));
  EXPECT_EQ(plan.rows(), (std::vector<PrecisionRow>(2, {vb, b, b}))) << "by cosine alone; it has to exceed 0.998";
  EXPECT_EQ(sage1_adaptive(measure(three_layers({vb, b})), 0.98).rows(), (std::vector<PrecisionRow>(2, {vb, vb, vb})));
}

TEST(Sage1Adaptive, StaysWithFullPrecisionWhereTheCarefulKernelWasNotMeasured) {
  MadeUp made = three_layers({vb});
  made.seconds.erase(b);
  const Measurement measurement = measure(made);
  const Plan plan = sage1_adaptive(measurement);
  EXPECT_EQ(plan.rows(), (std::vector<PrecisionRow>(2, {vb, full, full})));
  EXPECT_NEAR(Planner(measurement).judge(plan).seconds, 2 * (0.001 + 2 * 0.004), 1e-12);
}

TEST(Sage1Adaptive, TakesTheNearestLayersWord) {
  MadeUp made = three_layers({vb, b});
  made.design.layers = {0, 2};
  EXPECT_EQ(sage1_adaptive(measure(made)).rows().front(), (PrecisionRow{vb, vb, b}));
}

TEST(Sage1Adaptive, NeedsTheFastKernel) {
  MadeUp made = three_layers({b});
  made.seconds.erase(vb);
  EXPECT_THAT(error_text<UsageError>([&] { (void)sage1_adaptive(measure(made)); }),
              testing::AllOf(testing::HasSubstr("sage1-vb, which was not measured"), testing::HasSubstr("calibrate")));
}

}  // namespace
}  // namespace bitreel::test
