// One-line plans: what each says of every cell, and what is refused.
#include "schedulers/precision/attention_choice.h"

#include <gmock/gmock.h>

#include "schedulers/precision/plan_file.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/schedulers/precision/targets.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

// One word per step, one letter per layer: the first of each precision's name, 8 and 4 for int8 and int4.
std::string drawn_by_step(const Plan& plan) {
  std::string text;
  for (const PrecisionRow& row : plan.rows()) {
    if (!text.empty()) text += ' ';
    for (const Precision precision : row) {
      if (precision == Precision::int8 || precision == Precision::int4) {
        text += precision == Precision::int8 ? '8' : '4';
      } else {
        text += name_of(precision).front();
      }
    }
  }
  return text;
}

TEST(OneLiner, SaysTheSameAsTheTable) {
  struct Case {
    std::string text, table;  // of 3 layers and 6 steps
  };
  const std::vector<Case> cases = {
      {"int8", "888 888 888 888 888 888"},
      {"full", "fff fff fff fff fff fff"},
      {"rest=int4", "444 444 444 444 444 444"},
      {"first-last:2=int8,rest=int4", "888 888 444 444 888 888"},
      {"first:1=full,last:2=int8,rest=int4", "fff 444 444 444 888 888"},
      {"first-last:3=int8", "888 888 888 888 888 888"},
      {"first:9=int8", "888 888 888 888 888 888"},
      {"steps:1+3-4=int8,rest=int4", "444 888 444 888 888 444"},
      {"layers:0+2=full,rest=int8", "f8f f8f f8f f8f f8f f8f"},
      {"layers:1=full,first:1=int8,rest=int4", "8f8 4f4 4f4 4f4 4f4 4f4"},
      {"first:1=int8,layers:1=full,rest=int4", "888 4f4 4f4 4f4 4f4 4f4"},
      {"steps:0-5=sage2-4b", "sss sss sss sss sss sss"},
  };
  for (const Case& c : cases) {
    const AttentionChoice choice = parse_attention(c.text);
    EXPECT_EQ(choice.text, c.text);
    EXPECT_EQ(drawn_by_step(resolve(choice, target_of(3, 6))), c.table) << c.text;
  }
}

TEST(OneLiner, TakesEveryPrecisionByName) {
  for (const Precision precision : all_precisions()) {
    const Plan plan = resolve(parse_attention(std::string(name_of(precision))), target_of(2, 3));
    for (const PrecisionRow& row : plan.rows()) EXPECT_THAT(row, Each(precision));
  }
}

TEST(OneLiner, IsFullPrecisionUnlessAsked) {
  EXPECT_EQ(drawn_by_step(resolve(AttentionChoice(), target_of(2, 2))), "ff ff");
}

TEST(OneLiner, IsRefusedWithTheRuleAndWhatWasMeant) {
  struct Case {
    std::string text, complaint, hint;
  };
  const std::vector<Case> cases = {
      {"int9", "`attention`: \"int9\" is no precision", "did you mean int"},
      {"sage2_8b", "\"sage2_8b\" is no precision", "did you mean sage2-8b?"},
      {"fast", "`attention` is \"fast\", expected a precision, a one-line plan or a plan file", "precisions are full"},
      {"", "`attention` is \"\"", "precisions are full"},
      {"first:3=int8,rest", "the rule \"rest\" has no =", "PLACE=PRECISION"},
      {"first:3=int8,", "the rule \"\" has no =", "PLACE=PRECISION"},
      {"first:3=int7,rest=int4", "first:3=int7: \"int7\" is no precision", "did you mean int"},
      {"frist:3=int8,rest=int4", "\"frist\" is no place in a plan", "did you mean first?"},
      {"middle-of-it:3=int8,rest=int4", "\"middle-of-it\" is no place in a plan", "places are first:N"},
      {"first=int8,rest=int4", "first needs numbers, such as first:3", ""},
      {"rest:3=int8", "rest stands alone", ""},
      {"rest=int8,rest=int4", "rest=int4 stands behind rest=int8, which leaves it nothing", "rest comes last"},
      {"rest=int8,first:3=full", "first:3=full stands behind rest=int8", "rest comes last"},
      {"first:0=int8,rest=int4", "first takes one count from 1, got 0", ""},
      {"first:1-3=int8,rest=int4", "first takes one count from 1, got 1-3", ""},
      {"first:three=int8,rest=int4", "\"three\" is no number or range", ""},
      {"steps:5-3=int8,rest=int4", "the range 5-3 ends before it begins", "3-5"},
      {"layers:-1=int8,rest=int4", "\"-1\" is no number or range", ""},
      {"layers:1++2=int8,rest=int4", "\"\" is no number or range", ""},
      {"layers:99999999999999999999=int8,rest=int4", "is no number or range", ""},
  };
  for (const Case& c : cases)
    EXPECT_THAT(error_text<UsageError>([&] { parse_attention(c.text); }),
                AllOf(HasSubstr(c.complaint), HasSubstr(c.hint)))
        << c.text;
}

TEST(OneLiner, IsRefusedForARunThatItDoesNotCover) {
  const auto complaint = [](const std::string& text) {
    return error_text<UsageError>([&] { resolve(parse_attention(text), target_of(3, 6)); });
  };
  EXPECT_THAT(complaint("first:3=int8,last:2=int4"),
              AllOf(HasSubstr("no rule holds layer 0 of step 3"), HasSubstr("rest=int8")));
  EXPECT_THAT(complaint("layers:0-1=int8"), HasSubstr("no rule holds layer 2 of step 0"));
  EXPECT_THAT(complaint("layers:3=int8,rest=int4"), HasSubstr("there is no 3, the 3 layers are 0 to 2"));
  EXPECT_THAT(complaint("steps:4-6=int8,rest=int4"), HasSubstr("there is no 6, the 6 steps are 0 to 5"));
}

TEST(AttentionChoice, ReadsAPlanFileAndMapsItByTimestep) {
  const TemporaryFolder folder;
  const std::string file = folder / "plan.yaml";
  const PlanTarget six = target_of(3, 6);
  write_text(file, to_yaml(resolve(parse_attention("first:2=int8,rest=int4"), six)));
  const AttentionChoice choice = parse_attention(file);
  EXPECT_EQ(choice.text, file);
  EXPECT_EQ(drawn_by_step(resolve(choice, six)), "888 888 444 444 444 444");
  EXPECT_EQ(drawn_by_step(resolve(choice, target_of(3, 3))), "888 444 444");
  const Plan twelve = resolve(choice, target_of(3, 12));
  EXPECT_EQ(drawn_by_step(twelve), "888 888 888 444 444 444 444 444 444 444 444 444");
  EXPECT_EQ(twelve.made_for().timesteps, target_of(3, 12).timesteps);
}

TEST(AttentionChoice, RefusesAnotherModelsOrSchedulersPlanUnlessItIsNamed) {
  const TemporaryFolder folder;
  const std::string file = folder / "plan.yaml";
  write_text(file, to_yaml(resolve(parse_attention("int8"), target_of(3, 6))));
  const AttentionChoice choice = parse_attention(file);

  PlanTarget model = target_of(3, 6), scheduler = target_of(3, 6);
  model.model_hash = "00ba7826";
  model.model = "CogVideoX-2b";
  scheduler.scheduler = "dpm";
  const auto complaint = [&](const PlanTarget& run, const PlanUse& use) {
    return error_text<UsageError>([&] { resolve(choice, run, use); });
  };
  EXPECT_THAT(complaint(model, {}),
              AllOf(HasSubstr("plan.yaml: made for the model pocket (9f86d081)"),
                    HasSubstr("this is CogVideoX-2b (00ba7826)"), HasSubstr("`accept_plan_of` pocket")));
  EXPECT_THAT(complaint(scheduler, {}),
              AllOf(HasSubstr("made for the scheduler ddim, this run has dpm"), HasSubstr("`accept_plan_of` ddim")));
  EXPECT_THAT(complaint(model, {.accepted = {"ddim", "CogVideoX-2b"}}), HasSubstr("made for the model"));
  EXPECT_THAT(complaint(target_of(4, 6), {.accepted = {"pocket", "ddim"}}),
              HasSubstr("made for 3 layers, pocket has 4"));
  EXPECT_EQ(drawn_by_step(resolve(choice, model, {.accepted = {"pocket"}})), "888 888 888 888 888 888");
  EXPECT_EQ(drawn_by_step(resolve(choice, scheduler, {.accepted = {"ddim"}})), "888 888 888 888 888 888");
}

TEST(AttentionChoice, SaysThatAFileIsNotThere) {
  EXPECT_THAT(error_text<UsageError>([] { parse_attention("no/such/plan.yaml"); }),
              HasSubstr("no/such/plan.yaml: cannot be read: No such file or directory, expected a YAML file"));
  EXPECT_THAT(error_text<UsageError>([] { parse_attention("/"); }), HasSubstr("/: cannot be read: it is a folder"));
}

}  // namespace
}  // namespace bitreel::test
