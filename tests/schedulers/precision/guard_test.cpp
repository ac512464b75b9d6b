// The guard's decisions, without a model.
#include "schedulers/precision/guard.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "schedulers/precision/attention_choice.h"
#include "tests/error_text.h"
#include "tests/schedulers/precision/measurements.h"

namespace bitreel::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Plan plan_of(const std::string& text, std::optional<double> bound) {
  Plan plan = resolve(parse_attention(text), target_of(3, 12));
  plan.bound = bound;
  return plan;
}

TEST(Guard, LeavesThePlanAloneWithinItsBound) {
  Guard guard(plan_of("first:2=int8,rest=int4", 0.125), {});
  EXPECT_EQ(guard.observe(0, 1, off_by(0.125)), std::nullopt);
  EXPECT_EQ(guard.observe(5, 1, off_by(0)), std::nullopt);
  EXPECT_THAT(guard.row(0), ElementsAre(int8, int8, int8));
  EXPECT_THAT(guard.row(6), ElementsAre(int4, int4, int4));
  EXPECT_TRUE(guard.events().empty());
}

TEST(Guard, MovesALayerUpFromTheNextStepOn) {
  Guard guard(plan_of("int4", 0.1), {.every = 2});
  const auto event = guard.observe(2, 1, off_by(0.25));
  EXPECT_EQ(event, (GuardEvent{.step = 2, .layer = 1, .from = int4, .to = int8, .error = 0.25, .bound = 0.1}));
  EXPECT_EQ(text_of(*event), "step 2, layer 1: error 0.25 is above the bound 0.1; int8 instead of int4 from step 3 on");
  EXPECT_THAT(guard.row(2), ElementsAre(int4, int4, int4)) << "a row that has run stays what it was";
  EXPECT_THAT(guard.row(3), ElementsAre(int4, int8, int4));
  EXPECT_THAT(guard.row(11), ElementsAre(int4, int8, int4));
  EXPECT_TRUE(guard.observe(4, 1, off_by(0.25)));
  EXPECT_THAT(guard.row(5), ElementsAre(int4, full, int4));
  EXPECT_THAT(guard.row(4), ElementsAre(int4, int8, int4));
  EXPECT_EQ(guard.events().size(), 2U);
}

TEST(Guard, GivesCellsAtLeastTheLevelNotOneMoreEach) {
  Guard guard(plan_of("last:3=int8,layers:2=full,rest=int4", 0.1), {});
  EXPECT_TRUE(guard.observe(0, 0, off_by(0.5)));
  EXPECT_THAT(guard.row(5), ElementsAre(int8, int4, full));
  EXPECT_THAT(guard.row(11), ElementsAre(int8, int8, int8)) << "what the plan has in 8 bits stays there";
}

TEST(Guard, TakesWhatIsNoNumberForTooLarge) {
  Guard guard(plan_of("int4", 0.1), {});
  EXPECT_TRUE(guard.observe(0, 0, {.cosine = std::nan(""), .relative_l1 = 0, .rmse = 0}));
  EXPECT_THAT(guard.row(1), ElementsAre(int8, int4, int4));
}

TEST(Guard, LooksEveryFewStepsAtEveryHeadInTurn) {
  const Guard guard(plan_of("int4", 0.1), {.every = 3});
  std::vector<std::int64_t> due;
  std::set<std::int64_t> heads;
  for (std::int64_t step = 0; step < 12; ++step) {
    if (!guard.due(step)) continue;
    due.push_back(step);
    heads.insert(guard.head(step, 1, 4));
  }
  EXPECT_THAT(due, ElementsAre(0, 3, 6, 9));
  EXPECT_EQ(heads.size(), 4U);
  EXPECT_NE(guard.head(0, 0, 4), guard.head(0, 1, 4));
}

TEST(Guard, KeepsItsOwnBoundWithSlack) {
  EXPECT_EQ(Guard(plan_of("int4", 0.25), {}).bound(), 0.25);
  EXPECT_EQ(Guard(plan_of("int4", 0.25), {.bound = 0.5}).bound(), 0.5);
  EXPECT_EQ(Guard(plan_of("int4", std::nullopt), {.bound = 0.5, .slack = 2}).bound(), 1.0);
}

TEST(Guard, GoesUpWithinAFamily) {
  for (const Precision precision : all_precisions()) {
    if (precision == full) continue;
    EXPECT_GT(bits_of(more_bits(precision)), bits_of(precision)) << name_of(precision);
  }
  EXPECT_EQ(more_bits(int4), int8);
  EXPECT_EQ(more_bits(Precision::sage2_4b), Precision::sage2_8b);
  EXPECT_EQ(more_bits(Precision::sage1_vb), full);
}

TEST(Guard, RefusesWhatItCannotGuard) {
  const auto complaint = [](std::optional<double> bound, const GuardOptions& options) {
    return error_text<UsageError>([&] { Guard(plan_of("int4", bound), options); });
  };
  EXPECT_THAT(complaint(std::nullopt, {}), HasSubstr("the plan has no bound"));
  EXPECT_THAT(complaint(0.1, {.every = 0}), HasSubstr("the guard looks every 0 steps"));
  EXPECT_THAT(complaint(0.1, {.bound = 0}), HasSubstr("the guard's bound is 0"));
  EXPECT_THAT(complaint(0.1, {.slack = 0}), HasSubstr("the guard's slack is 0"));
  Guard guard(plan_of("layers:0=full,rest=int4", 0.1), {});
  EXPECT_THAT(error_text([&] { guard.observe(0, 0, off_by(0.5)); }), HasSubstr("nothing to guard"));
}

}  // namespace
}  // namespace bitreel::test
