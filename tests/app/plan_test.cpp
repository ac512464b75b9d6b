// bitreel plan, as a person runs it: what it prints, what it writes, what it refuses.
#include <gmock/gmock.h>

#include <filesystem>
#include <string>
#include <vector>

#include "schedulers/precision/attention_choice.h"
#include "schedulers/precision/measurement_file.h"
#include "schedulers/precision/plan_file.h"
#include "tests/app/program.h"
#include "tests/files.h"
#include "tests/schedulers/precision/measurements.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Arguments = std::vector<std::string>;

// 2 layers x 5 steps; 4 bits err more from step to step and layer to layer, 8 bits a tenth of that.
MadeUp rising() {
  return {.design = design_of(2, 5, {Precision::int8, Precision::int4}),
          .seconds = {{Precision::full, 0.004}, {Precision::int8, 0.002}, {Precision::int4, 0.001}},
          .errors =
              [](const CellKey& key, int) {
                const double four = 0.01 * static_cast<double>(1 + key.step + 5 * key.layer);
                return off_by(key.precision == Precision::int4 ? four : four / 10);
              },
          .prompts = 2};
}

TEST(PlanCommand, WritesThePapersShareUnlessAskedOtherwise) {
  const TemporaryFolder folder;
  const std::string measured = write_text(folder / "measured.json", to_json(measure(rising())));
  const std::string file = folder / "plan.yaml";
  const Outcome outcome = run_bitreel({"plan", measured, "--output", file});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("pocket, ddim: 2 layers, 5 steps; 2 prompts on a device"),
                    HasSubstr("int4                1     25.0%        0.055           0.1\n"),
                    HasSubstr("--share 30%: int4 70.0 %, int8 30.0 %"), HasSubstr("layer 0  44444\nlayer 1  44888\n"),
                    HasSubstr("Pareto front"), HasSubstr("     0.055      0.01     25.0%\n")));
  const Plan plan = read_plan(file);
  EXPECT_THAT(table_text(plan), StartsWith("layer 0  44444\nlayer 1  44888\n"));
  EXPECT_THAT(outcome.out, HasSubstr("plan " + plan.hash()));
  EXPECT_EQ(plan.made_for(), target_of(2, 5));
  EXPECT_THAT(plan.note, HasSubstr("bitreel plan --share 30%: predicted error 0.0307, 0.013 s of attention (32.5 %"));
  EXPECT_EQ(to_yaml(resolve(parse_attention(file), target_of(2, 5))), to_yaml(plan)) << "generate takes it";
}

TEST(PlanCommand, FollowsSageAttentionsRule) {
  const TemporaryFolder folder;
  MadeUp made = rising();
  made.design.precisions = {Precision::sage1_vb, Precision::sage1_b};
  made.seconds = {{Precision::full, 0.004}, {Precision::sage1_vb, 0.001}, {Precision::sage1_b, 0.002}};
  made.errors = [](const CellKey& key, int) { return off_by(key.layer == 0 ? 0.001 : 0.01); };
  const std::string measured = write_text(folder / "measured.json", to_json(measure(made)));
  const Outcome outcome = run_bitreel({"plan", measured, "--rule", "sage1-adaptive", "--output", folder / "plan.yaml"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const Plan plan = read_plan(folder / "plan.yaml");
  for (const PrecisionRow& row : plan.rows()) {
    EXPECT_EQ(row, (PrecisionRow{Precision::sage1_vb, Precision::sage1_b}));
  }
  const Outcome unmeasured =
      run_bitreel({"plan", write_text(folder / "rising.json", to_json(measure(rising()))), "--rule", "sage1-adaptive"});
  EXPECT_EQ(unmeasured.code, 2);
  EXPECT_THAT(unmeasured.err, HasSubstr("sage1-vb, which was not measured"));
}

TEST(PlanCommand, FollowsEveryRule) {
  const TemporaryFolder folder;
  const std::string measured = write_text(folder / "measured.json", to_json(measure(rising())));
  struct Case {
    Arguments arguments;
    std::string table;
  };
  const std::vector<Case> cases = {
      {{"--share", "10%"}, "layer 0  44444\nlayer 1  44448\n"},
      {{"--share", "0.1"}, "layer 0  44444\nlayer 1  44448\n"},
      {{"--share", "100%"}, "layer 0  88888\nlayer 1  88888\n"},
      {{"--share", "30%", "--full-share", "10%"}, "layer 0  44444\nlayer 1  4488#\n"},
      {{"--min-score", "0.955"}, "layer 0  44448\nlayer 1  88888\n"},
      {{"--max-error", "0.0461"}, "layer 0  44444\nlayer 1  44448\n"},
      {{"--max-error", "0"}, "layer 0  #####\nlayer 1  #####\n"},
      {{"--max-error", "0.05", "--precisions", "int4,full"}, "layer 0  44444\nlayer 1  4444#\n"},
      {{"--min-score", "0.955", "--by", "worst"}, "layer 0  44448\nlayer 1  88888\n"},
  };
  for (const Case& c : cases) {
    const Outcome outcome = run_bitreel(Arguments{"plan", measured} + c.arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(c.table));
  }
}

TEST(PlanCommand, TakesSeveralMeasurementsForOne) {
  const TemporaryFolder folder;
  MadeUp more = rising();
  more.first_prompt = 2;
  const std::string first = write_text(folder / "first.json", to_json(measure(rising())));
  const std::string second = write_text(folder / "second.json", to_json(measure(more)));
  const Outcome outcome = run_bitreel({"plan", first, second});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("4 prompts on a device"));
}

TEST(PlanCommand, SaysWhenFourBitsBuyNothing) {
  const TemporaryFolder folder;
  MadeUp slow = rising();
  slow.seconds[Precision::int4] = 0.003;
  const Outcome outcome = run_bitreel({"plan", write_text(folder / "measured.json", to_json(measure(slow)))});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("note: int4 buys nothing on this device: 3 ms a call, int8 takes 2 ms"),
                                 HasSubstr("int8 100.0 %"), HasSubstr("layer 1  88888\n")));
}

TEST(PlanCommand, DrawsPicturesInTheFormatsAskedFor) {
  const TemporaryFolder folder;
  const std::string measured = write_text(folder / "measured.json", to_json(measure(rising())));
  const std::vector<std::string> names = {"error-over-steps", "pareto", "plan", "scores-int4", "scores-int8"};
  for (const std::string format : {"svg", "png", "both"}) {
    const fs::path pictures = folder / format;
    const Outcome outcome = run_bitreel({"plan", measured, "--pictures", pictures, "--format", format});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    for (const std::string& name : names) {
      const fs::path svg = pictures / (name + ".svg"), png = pictures / (name + ".png");
      EXPECT_EQ(fs::exists(svg), format != "png") << svg;
      EXPECT_EQ(fs::exists(png), format != "svg") << png;
      EXPECT_THAT(read_text(png), StartsWith(format == "svg" ? "" : "\x89PNG"));
    }
  }
  const std::string plan = read_text(folder / "svg" / "plan.svg");
  EXPECT_THAT(plan, AllOf(StartsWith("<svg "), HasSubstr(">layer</text>"), HasSubstr(">int8</text>"),
                          Not(HasSubstr(">full</text>"))));
  EXPECT_THAT(read_text(folder / "svg" / "scores-int4.svg"),
              HasSubstr(">Score of int4 in every layer and step</text>"));
}

TEST(PlanCommand, RefusesBadInput) {
  const TemporaryFolder folder;
  const std::string good = to_json(measure(rising()));
  MadeUp other = rising();
  other.design.made_for.model_hash = "00ba7826";
  other.first_prompt = 2;
  const std::string measured = write_text(folder / "measured.json", good);
  const std::string same = write_text(folder / "same.json", good);
  const std::string model = write_text(folder / "model.json", to_json(measure(other)));
  const std::string cut = write_text(folder / "cut.json", good.substr(0, good.size() / 2));
  const std::string yaml = write_text(folder / "plan.yaml", "bitreel_plan: 1\n");
  const std::string output = folder / "out.yaml";
  struct Case {
    Arguments arguments;
    int code;
    std::string complaint;
  };
  const std::vector<Case> cases = {
      {{}, 2, "measurements"},
      {{"no/such.json"}, 1, "no/such.json: cannot be read"},
      {{cut}, 1, "cut.json:"},
      {{yaml}, 1, "plan.yaml:1: is no JSON here"},
      {{measured, same}, 1, "same.json: \"prompt 0\" with seed 0 is in another measurement already"},
      {{measured, model}, 1, "model.json does not go with the other measurements; they differ in the model"},
      {{measured, "--share", "30"}, 2, "did you mean 30%?"},
      {{measured, "--share", "130%"}, 2, "--share is 130%, expected a share"},
      {{measured, "--share", "some"}, 2, "--share is \"some\", expected a share such as 30% or 0.3"},
      {{measured, "--share", "%"}, 2, "--share is \"\", expected a share"},
      {{measured, "--share", "10%", "--full-share", "20%"}, 2, "is part of the 8-bit share"},
      {{measured, "--share", "10%", "--max-error", "0.1"}, 2, "excludes"},
      {{measured, "--min-score", "0.9", "--full-share", "10%"}, 2, "excludes"},
      {{measured, "--rule", "sage1-adaptive", "--share", "10%"}, 2, "excludes"},
      {{measured, "--rule", "sage9"}, 2, "sage1-adaptive"},
      {{measured, "--min-score", "high"}, 2, "--min-score is \"high\", expected a score"},
      {{measured, "--min-score", "1.5"}, 2, "the least score is 1.5"},
      {{measured, "--max-error", "-1"}, 2, "the largest error is -1"},
      {{measured, "--max-error", "0.001", "--precisions", "int4,int8"}, 2, "no plan has a predicted error of 0.001"},
      {{measured, "--precisions", "int4,int5"}, 2, "--precisions: \"int5\" is no precision"},
      {{measured, "--precisions", "int4,,int8"}, 2, "--precisions: \"\" is no precision"},
      {{measured, "--precisions", "sage1-b"}, 2, "sage1-b was not measured"},
      {{measured, "--by", "median"}, 2, "--by"},
      {{measured, "--format", "gif"}, 2, "--format"},
      {{measured, "--pictures", measured}, 1, "measured.json"},
      {{measured, "--shares", "30%"}, 2, "--share"},
  };
  for (const Case& c : cases) {
    const Outcome outcome = run_bitreel(Arguments{"plan"} + c.arguments + Arguments{"--output", output});
    EXPECT_EQ(outcome.code, c.code) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(StartsWith("bitreel: "), HasSubstr(c.complaint)));
    EXPECT_FALSE(fs::exists(output)) << c.complaint;
  }
  EXPECT_THAT(run_bitreel({"plan", measured, "--output", "/no/such/folder/p.yaml"}).err,
              HasSubstr("the folder /no/such/folder does not exist"));
}

}  // namespace
}  // namespace bitreel::test
