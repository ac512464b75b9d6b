// bench step and bench vae: models without weights are timed, the table adds up, wrong cases are named.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "base/json_file.h"
#include "pipelines/layers/panel_linear.h"
#include "tests/app/program.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// A clip of the default model's size takes a second a step; these take a tenth.
constexpr const char* small_cases =
    "rounds: 2\nvariants:\n  full: {}\n  int8: {attention: int8, elementwise: composed}\ncases:\n"
    "  - {name: small, model: assets/pocket, layers: 2, width: 32, height: 32, num_frames: 9}\n"
    "  - {name: longer, model: assets/pocket, layers: 2, width: 32, height: 32, num_frames: 17, dtype: fp32}\n";

// GELU is no work of its own where a product holds it.
std::vector<std::string> works_of(std::vector<std::string> names) {
  if (multiplies_in_panels({}, at::kCPU, at::kFloat)) std::erase(names, "gelu");
  return names;
}

double sum_of(const json& works, const std::string& key) {
  double sum = 0;
  for (const json& work : works) sum += work.at(key).get<double>();
  return sum;
}

TEST(BenchStep, TimesEveryKindOfWorkOfEveryVariantAndShowsTheTableAgain) {
  const TemporaryFolder folder;
  const std::string cases = write_text(folder / "cases.yaml", small_cases);
  const Outcome outcome = run_bitreel({"bench", "step", cases, "--output", folder / "results.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json results = read_json(folder / "results.json");
  EXPECT_EQ(results["phase"], "step");
  EXPECT_GT(results["roofline"]["bf16"]["tflops"], 0);
  EXPECT_GT(results["roofline"]["fp32"]["gb_per_second"], 0);
  ASSERT_EQ(results["cases"].size(), 4U);
  const json& full = results["cases"][0];
  EXPECT_EQ(full["layers"], 2);
  EXPECT_EQ(full["tokens"], 226 + 3 * 4 * 4);
  std::vector<std::string> names;
  for (const json& work : full["works"]) {
    names.push_back(work["work"]);
    EXPECT_GT(work["ms"], 0) << names.back();
  }
  EXPECT_EQ(names, works_of({"embed", "norm", "qkv", "heads", "attention", "out", "ff in", "gelu", "ff out", "output",
                             "scheduler"}));
  EXPECT_NEAR(sum_of(full["works"], "flop") / full["flop"].get<double>(), 1, 1e-9);
  EXPECT_NEAR(sum_of(full["works"], "floor_ms") / full["floor_ms"].get<double>(), 1, 1e-9);
  EXPECT_NE(results["cases"][1]["backends"], full["backends"]) << "int8 runs on kernels of its own";
  EXPECT_GT(results["cases"][2]["flop"], full["flop"]);
  EXPECT_EQ(run_bitreel({"bench", "step", "--show", folder / "results.json"}).out, outcome.out);
}

TEST(BenchStep, TimesAPictureFromTextByTheSameMeasure) {
  const TemporaryFolder folder;
  const std::string cases = write_text(folder / "cases.yaml",
                                       "rounds: 2\nvariants: {full: {}, int8: {attention: int8}}\ncases:\n"
                                       "  - {name: joint, model: tests/golden/unidiffuser/model, dtype: fp32}\n");
  const Outcome outcome = run_bitreel({"bench", "step", cases, "--output", folder / "results.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json results = read_json(folder / "results.json");
  const json& full = results["cases"][0];
  EXPECT_EQ(full["layers"], 5) << "two in, one between, two out";
  EXPECT_EQ(full["tokens"], 2 + 1 + 77 + 1 + 4 * 4) << "timesteps, data type, text, CLIP's picture, patches";
  std::vector<std::string> names;
  for (const json& work : full["works"]) {
    names.push_back(work["work"]);
    EXPECT_GT(work["ms"], 0) << names.back();
  }
  EXPECT_EQ(names, works_of({"embed", "qkv", "attention", "out", "ff in", "gelu", "ff out", "norm", "skip", "output",
                             "inputs", "scheduler"}));
  EXPECT_NEAR(sum_of(full["works"], "flop") / full["flop"].get<double>(), 1, 1e-9);
  EXPECT_NE(results["cases"][1]["backends"], full["backends"]);
  EXPECT_THAT(outcome.out, HasSubstr("| joint 32x32, 5 layers, fp32 | full |"));
}

TEST(BenchVae, TimesConvolutionsNormsAndFrames) {
  const TemporaryFolder folder;
  const std::string cases =
      write_text(folder / "cases.yaml",
                 "rounds: 1\nvariants: {planar: {vae_layout: planar}, last: {vae_layout: channels-last}}\ncases:\n"
                 "  - {name: small, model: assets/pocket, width: 96, height: 32, num_frames: 9, dtype: fp32}\n");
  const Outcome outcome = run_bitreel({"bench", "vae", cases, "--output", folder / "results.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json results = read_json(folder / "results.json");
  ASSERT_EQ(results["cases"].size(), 2U);
  for (const json& work : results["cases"][0]["works"]) EXPECT_GT(work["ms"], 0) << work;
  EXPECT_TRUE(results["cases"][0]["layers"].is_null());
  EXPECT_EQ(results["cases"][1]["variant"], "last");
}

TEST(BenchModel, RefusesCasesThatMakeNoSense) {
  const TemporaryFolder folder;
  const std::string variants = "variants: {full: {}}\n";
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {variants + "cases: []\n", "cases is not a list with entries"},
      {"variants: {}\ncases: [{name: a}]\n", "variants is not a map of names"},
      {variants + "cases: [{name: a, layers: 9}]\n", "layers is 9, the model has 8"},
      {variants + "cases: [{name: a, layers: 0}]\n", "layers is 0, expected 1 or more"},
      {variants + "cases: [{name: a, widht: 32}]\n", "did you mean width?"},
      {variants + "cases: [{name: a, width: 33}]\n", "multiple of 8"},
      {variants + "cases: [{name: a, prompt: b}]\n", "has no key prompt"},
      {variants + "cases: [{name: a, model: none}]\n", "none"},
      {"variants: {x: {attention: int9}}\ncases: [{name: a}]\n", "int9"}};
  for (const auto& [text, message] : wrong) {
    SCOPED_TRACE(text);
    const Outcome outcome = run_bitreel({"bench", "step", write_text(folder / "cases.yaml", text)});
    EXPECT_NE(outcome.code, 0);
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
  const Outcome shown = run_bitreel({"bench", "vae", "--show", write_text(folder / "other.json", "{}")});
  EXPECT_EQ(shown.code, 1);
  EXPECT_THAT(shown.err, HasSubstr("other.json holds no results of bitreel bench vae"));
}

}  // namespace
}  // namespace bitreel::test
