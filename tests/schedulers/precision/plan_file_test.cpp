// Plan files: what is written is read back, and everything that can be wrong in one has its own message and line.
#include "schedulers/precision/plan_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <random>

#include "schedulers/precision/attention_choice.h"
#include "tests/error_text.h"
#include "tests/schedulers/precision/targets.h"

namespace bitreel::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string head = R"(bitreel_plan: 1
made_for:
  model: pocket
  model_hash: 9f86d081
  scheduler: ddim
  layers: 4
  timesteps: [999, 749, 499, 249]
)";

std::string line_of(const Plan& plan, std::size_t step) {
  std::string text;
  for (const Precision precision : plan.rows()[step]) text += fmt::format("{} ", name_of(precision));
  return text;
}

TEST(PlanFile, ReadsRangesAndADefault) {
  const Plan plan = plan_from_yaml(head + R"(note: by hand
bound: 0.125
default: int4
rules:
  - {precision: int8, steps: 0-1}
  - {precision: full, steps: [2, 3], layers: [0, 2-3]}
  - precision: sage2-8b
    layers: 1
    steps: 3
)",
                                   "plan.yaml");
  EXPECT_EQ(line_of(plan, 0), "int8 int8 int8 int8 ");
  EXPECT_EQ(line_of(plan, 1), "int8 int8 int8 int8 ");
  EXPECT_EQ(line_of(plan, 2), "full int4 full full ");
  EXPECT_EQ(line_of(plan, 3), "full sage2-8b full full ");
  EXPECT_EQ(plan.note, "by hand");
  EXPECT_EQ(plan.bound, 0.125);
  EXPECT_EQ(plan.made_for().model, "pocket");
  EXPECT_EQ(plan.made_for().model_hash, "9f86d081");
  EXPECT_EQ(plan.made_for().scheduler, "ddim");
  EXPECT_EQ(plan.made_for().timesteps, (std::vector<std::int64_t>{999, 749, 499, 249}));
}

TEST(PlanFile, SeesAQuoteThatIsNeverClosed) {
  EXPECT_THAT(error_text<UsageError>([] { (void)plan_from_yaml(head + "default: int8\nnote: \"open", "plan.yaml"); }),
              testing::HasSubstr("plan.yaml:"));
}

TEST(PlanFile, NeedsNoDefaultWhenRulesNameEveryCell) {
  const Plan plan = plan_from_yaml(
      head + "rules:\n  - {precision: int8, layers: 0-2}\n  - {precision: full, layers: 3}", "plan.yaml");
  EXPECT_EQ(line_of(plan, 3), "int8 int8 int8 full ");
  EXPECT_EQ(plan.bound, std::nullopt);
}

TEST(PlanFile, ReadsBackWhateverItWrites) {
  std::mt19937 random(7);
  const auto below = [&random](std::size_t count) { return random() % count; };
  for (int round = 0; round < 200; ++round) {
    PlanTarget target = target_of(1 + static_cast<std::int64_t>(below(12)), 1 + static_cast<std::int64_t>(below(50)));
    target.model = "a \"model\": #1, \\ in\tpieces";
    target.model_hash = "1e3";  // a number, were it not quoted
    std::vector<PrecisionRow> rows(target.steps(), PrecisionRow(static_cast<std::size_t>(target.layers)));
    const std::size_t kinds = 1 + below(4);
    for (PrecisionRow& row : rows) {
      for (Precision& precision : row) precision = all_precisions()[below(kinds)];
    }
    Plan plan(target, rows);
    plan.note = "bitreel plan --share 30%\nand an edit";
    if (round % 2 == 0) plan.bound = 0.1 + 0.2;
    const Plan back = plan_from_yaml(to_yaml(plan), "plan.yaml");
    ASSERT_EQ(back.rows(), plan.rows()) << to_yaml(plan);
    ASSERT_EQ(back.made_for(), plan.made_for());
    ASSERT_EQ(back.bound, plan.bound);
    ASSERT_EQ(back.note, plan.note);
    ASSERT_EQ(back.hash(), plan.hash());
  }
}

TEST(PlanFile, IsWrittenInFewRules) {
  const auto written = [](const std::string& line) {
    const std::string yaml = to_yaml(resolve(parse_attention(line), target_of(4, 8)));
    const std::size_t begin = yaml.find("default:");
    return begin == std::string::npos ? yaml : yaml.substr(begin);
  };
  EXPECT_EQ(written("int8"), "default: int8\n");
  EXPECT_EQ(written("first:1=int8,last:2=int8,rest=int4"),
            "default: int4\nrules:\n  - {precision: int8, steps: [0, 6-7]}\n");
  EXPECT_EQ(written("layers:1=full,rest=int4"), "default: int4\nrules:\n  - {precision: full, layers: 1}\n");
  EXPECT_EQ(
      written("first:1=int8,layers:1+3=full,rest=int4"),
      "default: full\nrules:\n  - {precision: int8, steps: 0}\n  - {precision: int4, steps: 1-7, layers: [0, 2]}\n");
}

TEST(PlanFile, SaysWhatIsWrongAndWhere) {
  struct Case {
    std::string yaml, complaint, hint;
  };
  const auto rules = [](const std::string& rule) { return head + "default: int4\nrules:\n" + rule; };
  const std::vector<Case> cases = {
      {"", "plan.yaml: is no precision plan", "bitreel plan"},
      {"int8", "plan.yaml: is no precision plan", ""},
      {"steps: 30\n", "plan.yaml: is no precision plan", ""},
      {"bitreel_plan: 2\nfuture: yes\n", "plan.yaml:1: format version 2, this program reads version 1", ""},
      {"bitreel_plan: one\n", "plan.yaml:1: bitreel_plan is \"one\", expected a whole number", ""},
      {"bitreel_plan: 1\ndefault: int8\n", "the plan has no made_for", ""},
      {head, "plan.yaml: no rule names layer 0 of step 0", "add a default"},
      {head + "rules:\n  - {precision: int8, steps: 0-2}\n", "no rule names layer 0 of step 3", ""},
      {head + "rules:\n  - {precision: int8, layers: [0-1, 3]}\n", "no rule names layer 2 of step 0", ""},
      {head + "default: int4\ndefualt: int8\n", "plan.yaml:9: the plan has no key defualt", "did you mean default?"},
      {head + "default: int4\ndefault: int8\n", "plan.yaml:9: default is given twice", ""},
      {head + "default: int5\n", "plan.yaml:8: default: \"int5\" is no precision", "did you mean int"},
      {head + "default: [int4]\n", "plan.yaml:8: default is a list or a map", ""},
      {head + "default:\n", "default is empty", ""},
      {head + "default: int4\nbound: small\n", "plan.yaml:9: bound is \"small\", expected a number", ""},
      {head + "default: int4\nbound: -0.5\n", "plan.yaml:9: bound is -0.5, expected an error above 0", ""},
      {head + "default: int4\nbound: .nan\n", "plan.yaml:9: bound is \".nan\"", ""},
      {head + "default: int4\nbound: .inf\n", "plan.yaml:9: bound is \".inf\"", ""},
      {head + "default: int4\nrules: int8\n", "plan.yaml:9: rules is not a list with entries", ""},
      {rules("  - int8\n"), "plan.yaml:10: a rule is not a map", ""},
      {rules("  - {steps: 0-1}\n"), "plan.yaml:10: a rule has no precision", ""},
      {rules("  - {precision: int8}\n"), "plan.yaml:10: a rule without layers and steps", "write default: int8"},
      {rules("  - {precision: int8, step: 0-1}\n"), "plan.yaml:10: a rule has no key step", "did you mean steps?"},
      {rules("  - {precision: sage2-8, steps: 0}\n"), "plan.yaml:10: precision: \"sage2-8\"", "did you mean sage2-8b?"},
      {rules("  - {precision: int8, steps: 3-1}\n"), "plan.yaml:10: steps: the range 3-1 ends before", "1-3"},
      {rules("  - {precision: int8, steps: 0-4}\n"), "plan.yaml:10: steps: there is no 4, the 4 steps are 0 to 3", ""},
      {rules("  - {precision: int8, layers: [1, 7]}\n"), "plan.yaml:10: layers: there is no 7", ""},
      {rules("  - {precision: int8, layers: []}\n"), "plan.yaml:10: layers is not a list with entries", ""},
      {rules("  - {precision: int8, layers: 1..2}\n"), "plan.yaml:10: layers: \"1..2\" is no number or range", ""},
      {rules("  - {precision: int8, layers: [[1]]}\n"), "plan.yaml:10: layers is a list or a map", ""},
      {rules("  - {precision: int8, layers: &again [0, *again]}\n"), "plan.yaml:10:", ""},
      {rules("  - {precision: int8, steps: 0-2}\n  - {precision: full, layers: 3}\n"),
       "plan.yaml:11: layer 3 of step 0 is named a second time, first in line 10", ""},
      {rules("  - {precision: int8, steps: [0-2, 2]}\n"), "plan.yaml:10: layer 0 of step 2 is named a second time", ""},
      {rules("  - {precision: int8, steps: 0-2\n"), "plan.yaml:", ""},
      {"bitreel_plan: 1\nmade_for: pocket\n", "plan.yaml:2: made_for is not a map", ""},
      {"bitreel_plan: 1\nmade_for: {model: a, model_hash: b, scheduler: c, layers: 0, timesteps: [1]}\n",
       "plan.yaml:2: layers is 0, expected 1 to 1024", ""},
      {"bitreel_plan: 1\nmade_for: {model: a, model_hash: b, scheduler: c, layers: 2, timesteps: 30}\n",
       "plan.yaml:2: timesteps is not a list", ""},
      {"bitreel_plan: 1\nmade_for: {model: a, model_hash: b, scheduler: c, layers: 2, timesteps: [9, 9]}\n",
       "plan.yaml:2: timestep 9 comes after 9", ""},
      {"bitreel_plan: 1\nmade_for: {model: a, model_hash: b, scheduler: c, timesteps: [9]}\n",
       "plan.yaml:2: made_for has no layers", ""},
  };
  for (const Case& c : cases)
    EXPECT_THAT(error_text<UsageError>([&] { plan_from_yaml(c.yaml, "plan.yaml"); }),
                AllOf(HasSubstr(c.complaint), HasSubstr(c.hint)))
        << c.yaml;
}

}  // namespace
}  // namespace bitreel::test
