// The table itself: rows by timestep, its hash, what people see of it.
#include "schedulers/precision/plan.h"

#include <gmock/gmock.h>

#include "schedulers/precision/attention_choice.h"
#include "tests/error_text.h"
#include "tests/schedulers/precision/targets.h"

namespace bitreel::test {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

// Two layers; the step at timestep t has the precision given with it.
Plan plan_at(const std::vector<std::pair<std::int64_t, Precision>>& steps) {
  PlanTarget target = target_of(2, 1);
  target.timesteps.clear();
  std::vector<PrecisionRow> rows;
  for (const auto& [timestep, precision] : steps) {
    target.timesteps.push_back(timestep);
    rows.push_back({precision, precision});
  }
  return {target, rows};
}

const Plan three = plan_at({{999, Precision::full}, {600, Precision::int8}, {200, Precision::int4}});

TEST(Plan, AnswersWithTheRowOfTheNearestTimestep) {
  struct Case {
    std::int64_t timestep;
    Precision precision;
  };
  const std::vector<Case> cases = {{999, Precision::full}, {1200, Precision::full}, {801, Precision::full},
                                   {799, Precision::int8}, {600, Precision::int8},  {401, Precision::int8},
                                   {400, Precision::int8}, {399, Precision::int4},  {200, Precision::int4},
                                   {0, Precision::int4},   {-1, Precision::int4}};
  for (const Case& c : cases) EXPECT_THAT(three.row(c.timestep), Each(c.precision)) << c.timestep;
}

TEST(Plan, KeepsItsBoundAndNoteOnOtherTimesteps) {
  Plan plan = three;
  plan.bound = 0.25;
  plan.note = "by hand";
  const Plan on = plan.on({900, 500, 300, -1});
  EXPECT_THAT(on.rows(),
              ElementsAre(Each(Precision::full), Each(Precision::int8), Each(Precision::int4), Each(Precision::int4)));
  EXPECT_EQ(on.bound, 0.25);
  EXPECT_EQ(on.note, "by hand");
  EXPECT_EQ(plan.on(plan.made_for().timesteps).hash(), plan.hash());
}

TEST(Plan, HashesTheTableAndNothingElse) {
  // FNV-1a of "999:full,full,\n600:int8,int8,\n200:int4,int4,\n", from an independent implementation.
  EXPECT_EQ(three.hash(), "2ea4d01d309c4270");
  Plan renamed = three;
  renamed.note = "another note";
  EXPECT_EQ(renamed.hash(), three.hash());
  EXPECT_NE(plan_at({{999, Precision::full}, {600, Precision::int8}, {201, Precision::int4}}).hash(), three.hash());
  EXPECT_NE(plan_at({{999, Precision::full}, {600, Precision::int8}, {200, Precision::int8}}).hash(), three.hash());
}

TEST(Plan, IsDrawnAsOneLinePerLayer) {
  const Plan plan = resolve(parse_attention("layers:0=full,first:2=int8,steps:2=sage1-b,rest=int4"), target_of(11, 4));
  EXPECT_THAT(table_text(plan), testing::StartsWith("layer  0  ####\nlayer  1  88a4\n"));
  EXPECT_THAT(table_text(plan),
              testing::EndsWith("layer 10  88a4\n# full, 8 int8, 4 int4, a sage1-b; 4 steps, timesteps 999 to 249\n"));
  EXPECT_EQ(shares_text(plan), "int8 45.5 %, int4 22.7 %, sage1-b 22.7 %, full 9.1 %");
}

TEST(Plan, RefusesATableThatIsNotItsTargets) {
  const PlanTarget target = target_of(2, 3);
  const PrecisionRow row(2, Precision::int8);
  EXPECT_THAT(error_text([&] { Plan(target, {row, row}); }), HasSubstr("for 3 steps has 2 rows"));
  EXPECT_THAT(error_text([&] {
                Plan(target, {row, row, {Precision::int8}});
              }),
              HasSubstr("for 2 layers has a row of 1"));
  PlanTarget rising = target, none = target, nameless = target;
  rising.timesteps = {100, 200, 300};
  none.timesteps = {};
  nameless.model = "";
  EXPECT_THAT(error_text([&] { Plan(rising, {row, row, row}); }), HasSubstr("timestep 200 comes after 100"));
  EXPECT_THAT(error_text([&] { Plan(none, {}); }), HasSubstr("0 timesteps"));
  EXPECT_THAT(error_text([&] { Plan(nameless, {row, row, row}); }), HasSubstr("the model has no name"));
}

}  // namespace
}  // namespace bitreel::test
