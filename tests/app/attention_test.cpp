// Precision from the command line: generate --attention, calibrate, compare, bench attention, info attention.
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "attention/attention.h"
#include "base/json_file.h"
#include "schedulers/precision/measurement_file.h"
#include "schedulers/precision/plan_file.h"
#include "tests/app/program.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Arguments = std::vector<std::string>;

Outcome generate(const fs::path& output, const Arguments& flags) {
  return run_bitreel(Arguments{"generate", "--model", tiny_model, "--prompt", "a red circle", "--steps", "3", "--seed",
                               "7", "--device", "cpu", "--output", output.string()} +
                     flags);
}

TEST(GenerateAttention, RecordsWhatRanStepByStepAndLayerByLayer) {
  const TemporaryFolder folder;
  const Outcome outcome = generate(folder / "clip.mp4", {"--attention", "first-last:1=full,layers:1=int4,rest=int8"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("attention first-last:1=full,layers:1=int4,rest=int8: full 66.7 %"));
  const json attention = read_json(folder / "clip.mp4.json")["attention"];
  EXPECT_EQ(attention["requested"], "first-last:1=full,layers:1=int4,rest=int8");
  EXPECT_EQ(attention["executed"], json::parse(R"([["full","full"],["int8","int4"],["full","full"]])"));
  ASSERT_EQ(attention["ran"].size(), 3U);
  for (const auto& [row, precision, calls] :
       {std::tuple{0, "full", 4}, std::tuple{1, "int8", 1}, std::tuple{2, "int4", 1}}) {
    const json& ran = attention["ran"][static_cast<std::size_t>(row)];
    EXPECT_EQ(ran["precision"], precision);
    EXPECT_EQ(ran["calls"], calls) << precision;
    EXPECT_EQ(ran.contains("recipe"), ran["precision"] != "full");
    EXPECT_FALSE(ran.contains("fallback"));
    EXPECT_FALSE(ran["backend"].get<std::string>().empty());
  }
}

TEST(GenerateAttention, GuardMovesALayerThatErrsMoreThanItsBound) {
  const TemporaryFolder folder;
  const Outcome outcome =
      generate(folder / "clip.mp4", {"--attention", "int4", "--guard", "1", "--guard-bound", "0.0000001"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json attention = read_json(folder / "clip.mp4.json")["attention"];
  EXPECT_EQ(attention["executed"], json::parse(R"([["int4","int4"],["int8","int8"],["full","full"]])"));
  EXPECT_EQ(attention["guard"].size(), 4U);
  EXPECT_EQ(attention["guard"][0]["from"], "int4");
  EXPECT_EQ(attention["guard"][0]["to"], "int8");
  EXPECT_THAT(outcome.err, HasSubstr("guard: step 0, layer 0"));
}

TEST(GenerateAttention, SaysWhenASlowOracleStandsInForAKernel) {
  const TemporaryFolder folder;
  const Outcome outcome = generate(folder / "clip.mp4", {"--attention", "sage2-8b"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("sage2-8b: no kernel runs it"), HasSubstr("slow backend emulated")));
  const json ran = read_json(folder / "clip.mp4.json")["attention"]["ran"];
  EXPECT_EQ(ran[0]["backend"], "emulated");
  EXPECT_FALSE(ran[0]["fallback"].get<std::string>().empty());
}

// The text encoder attends with a bias, which not every backend can: it takes its own.
TEST(GenerateAttention, TakesABackendForDenoisingAlone) {
  const TemporaryFolder folder;
  const bool has_avx2 = backend_named("cpu-flash").missing(at::kCPU).empty();
  const std::vector<Arguments> cases = {
      {"--attention-backend", has_avx2 ? "cpu-flash" : "sdpa"},
      {"--attention-backend", "reference,emulated", "--attention", "first:1=full,rest=int8"},
      {"--attention-backend", "emulated", "--attention", "int8"}};
  for (const Arguments& flags : cases) {
    SCOPED_TRACE(flags[1]);
    const Outcome outcome = generate(folder / "clip.mp4", flags);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, Not(HasSubstr("no kernel runs it")));
  }
}

struct Refused {
  Arguments flags;
  std::string message;
};

TEST(GenerateAttention, RefusesWhatCannotBeBeforeAnyWork) {
  const TemporaryFolder folder;
  const std::string other = write_text(folder / "other.yaml",
                                       "bitreel_plan: 1\nmade_for: {model: another, model_hash: abc, scheduler: ddim, "
                                       "layers: 2, timesteps: [999, 666, 333]}\ndefault: int8\n");
  const std::vector<Refused> cases = {{{"--attention", "int9"}, "did you mean int"},
                                      {{"--attention", "first:1=int8"}, "no rule holds layer 0 of step 1"},
                                      {{"--attention", other}, "another"},
                                      {{"--attention", folder / "none.yaml"}, "none.yaml"},
                                      {{"--attention-backend", "cpu-avx"}, "cpu-avx"},
                                      {{"--attention-backend", "sdpa,reference"}, "both do full precision"},
                                      {{"--attention", "int8", "--attention-backend", "reference"},
                                       "reference does full precision, of which this run has none"},
                                      {{"--attention-backend", "emulated"}, "does quantized attention, of which"},
                                      {{"--attention", "int8", "--guard"}, "bound"}};
  for (const auto& [flags, message] : cases) {
    SCOPED_TRACE(testing::PrintToString(flags));
    const Outcome outcome = generate(folder / "clip.mp4", flags);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_FALSE(fs::exists(folder / "clip.mp4"));
  }
  EXPECT_EQ(generate(folder / "clip.mp4", {"--attention", other, "--accept-plan-of", "another"}).code, 0);
}

TEST(Calibrate, MeasuresEveryCellAndGoesOnWhereItStopped) {
  const TemporaryFolder folder;
  const std::string prompts = write_text(folder / "prompts.txt", "a red circle\na blue star\n");
  const fs::path measured = folder / "measured.json";
  const Arguments command = {"calibrate", "--model", tiny_model,  "--steps", "2",        "--seed",         "5",
                             "--device",  "cpu",     "--prompts", prompts,   "--output", measured.string()};
  ASSERT_EQ(run_bitreel(command).code, 0);
  const Measurement whole = read_measurement(measured);
  ASSERT_EQ(whole.prompts().size(), 2U);
  EXPECT_EQ(whole.prompts()[1].seed, 6U);
  for (const std::int64_t layer : {0, 1}) {
    for (const std::int64_t step : {0, 1}) {
      const double eight = whole.cell({layer, step, Precision::int8}).score.mean;
      const double four = whole.cell({layer, step, Precision::int4}).score.mean;
      EXPECT_GT(eight, four) << "layer " << layer << ", step " << step;
      EXPECT_GT(eight, 0.9);
    }
  }

  const PlanTarget made_for = read_plan(folder / "measured.yaml").made_for();
  EXPECT_EQ(made_for, whole.design().made_for) << "a plan comes with it";

  fs::remove(measured);
  const std::string first = write_text(folder / "first.txt", "a red circle\n");
  Arguments half = command;
  half[10] = first;
  ASSERT_EQ(run_bitreel(half).code, 0);
  const Outcome resumed = run_bitreel(command);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("going on after 1 prompts"));
  const Measurement again = read_measurement(measured);
  EXPECT_EQ(again.prompts(), whole.prompts());
  const CellKey cell{1, 1, Precision::int4};
  EXPECT_EQ(again.cell(cell).score.mean, whole.cell(cell).score.mean);

  const Outcome other = run_bitreel(command + Arguments{"--precisions", "int8"});
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.err, HasSubstr("another model, device, shape, sample or set of precisions"));
}

TEST(Compare, RanksPrecisionsByWhatTheyDoToTheClip) {
  const TemporaryFolder folder;
  const std::string prompts = write_text(folder / "prompts.txt", "a red circle\n");
  const Outcome outcome =
      run_bitreel({"compare", "--model", tiny_model, "--steps", "2", "--device", "cpu", "--prompts", prompts,
                   "--attention", "int8", "--attention", "int4", "--output", folder / "out"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json variants = read_json(folder / "out/compare.json")["variants"];
  ASSERT_EQ(variants.size(), 3U);
  EXPECT_EQ(variants[0]["attention"], "full");
  EXPECT_EQ(variants[0]["psnr"], 99);
  EXPECT_EQ(variants[0]["latent_error"], json::parse("[0.0, 0.0]"));
  EXPECT_GT(variants[1]["latent_error"][1], 0);
  EXPECT_GT(variants[2]["latent_error"][1], variants[1]["latent_error"][1]);
  EXPECT_TRUE(fs::exists(folder / "out/int4/clip-000.mp4"));
}

TEST(Compare, ReportsWhatRanWhereTheGuardMovedLayers) {
  const TemporaryFolder folder;
  const std::string prompts = write_text(folder / "prompts.txt", "a red circle\n");
  const Outcome outcome =
      run_bitreel({"compare", "--model", tiny_model, "--steps", "4", "--device", "cpu", "--prompts", prompts,
                   "--attention", "int4", "--guard", "1", "--guard-bound", "0.0000001", "--output", folder / "out"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json variants = read_json(folder / "out/compare.json")["variants"];
  EXPECT_EQ(variants[0]["shares"], "full 100.0 %") << "which has no bound, and needs none";
  EXPECT_EQ(variants[1]["shares"], "full 50.0 %, int8 25.0 %, int4 25.0 %");
  const json clip = read_json(folder / "out/int4/clip-000.mp4.json");
  EXPECT_EQ(clip["attention"]["requested"], "int4");
  EXPECT_EQ(clip["attention"]["executed"][3], json::parse(R"(["full","full"])"));
  EXPECT_EQ(clip["attention"]["guard"].size(), 4U);
}

TEST(Compare, RefusesAGuardWithoutABoundBeforeAnyWork) {
  const TemporaryFolder folder;
  const std::string prompts = write_text(folder / "prompts.txt", "a red circle\n");
  const Outcome outcome = run_bitreel({"compare", "--model", tiny_model, "--prompts", prompts, "--attention", "int8",
                                       "--guard", "--output", folder / "out"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("bound"), Not(HasSubstr("[text]"))));
}

TEST(Compare, InterruptedSaysWhatItsReportHolds) {
  struct Case {
    std::string signal_after;
    std::string message;
    bool report;
  };
  for (const Case& c :
       {Case{step_event("1/2 int8", 1), "no prompt is complete; the same command goes on from here", false},
        Case{step_event("2/2 full", 1), "the report holds the 1 of 2 prompts that are complete", true}}) {
    SCOPED_TRACE(c.signal_after);
    const TemporaryFolder folder;
    const std::string prompts = write_text(folder / "prompts.txt", "a red circle\na blue star\n");
    const Outcome outcome =
        run_bitreel({"compare", "--model", tiny_model, "--steps", "100", "--device", "cpu", "--prompts", prompts,
                     "--attention", "int8", "--progress", "json", "--output", folder / "out"},
                    {.file_size_limit = {}, .signal_after = c.signal_after, .signal = SIGINT});
    EXPECT_EQ(outcome.code, 128 + SIGINT);
    EXPECT_THAT(outcome.err, HasSubstr("interrupted: " + c.message));
    EXPECT_EQ(fs::exists(folder / "out/compare.json"), c.report);
  }
}

TEST(BenchAttention, TimesKernelsBesideLibTorchAndShowsTheTableAgain) {
  const TemporaryFolder folder;
  const std::string cases =
      write_text(folder / "cases.yaml",
                 "rounds: 1\nbaselines: [fp32]\nprecisions: [int8, int8+smooth-v=off]\nbackends: [cpu-scalar]\n"
                 "cases:\n  - {name: small, shape: [1, 2, 100, 40], dtype: bf16}\n");
  const Outcome outcome = run_bitreel({"bench", "attention", cases, "--output", folder / "results.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json rows = read_json(folder / "results.json")["cases"][0]["rows"];
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["times_fp32"], 1.0);
  EXPECT_GT(rows[1]["cosine"], 0.998);
  EXPECT_GT(rows[1]["quantization_ms"], 0);
  EXPECT_EQ(run_bitreel({"bench", "attention", "--show", folder / "results.json"}).out, outcome.out);
}

TEST(BenchAttention, RefusesCasesThatMakeNoSense) {
  const TemporaryFolder folder;
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"cases: []\nprecisions: [int8]\nbaselines: [fp32]\n", "cases is not a list with entries"},
      {"cases: [{name: a, shape: [1, 2, 3], dtype: bf16}]\nprecisions: [int8]\nbaselines: [fp32]\n", "expected 4"},
      {"cases: [{name: a, shape: [1, 2, 3, 4], dtype: bf17}]\nprecisions: [int8]\nbaselines: [fp32]\n", "bf17"},
      {"cases: [{name: a, shape: [1, 2, 3, 4], dtype: bf16}]\nprecisions: [int9]\nbaselines: [fp32]\n", "int9"},
      {"case: 1\n", "did you mean cases?"}};
  for (const auto& [text, message] : wrong) {
    SCOPED_TRACE(text);
    const Outcome outcome = run_bitreel({"bench", "attention", write_text(folder / "cases.yaml", text)});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

TEST(BenchAttention, RefusesFilesBeforeAnyWork) {
  const TemporaryFolder folder;
  const Outcome nowhere = run_bitreel({"bench", "attention", "--output", folder / "none/results.json"});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_THAT(nowhere.err, AllOf(HasSubstr("does not exist"), Not(HasSubstr("contenders"))));
  for (const char* text : {"", "{}", R"({"baselines": [], "cases": [{"rows": [{"tops": 1}]}]})"}) {
    SCOPED_TRACE(text);
    const Outcome shown = run_bitreel({"bench", "attention", "--show", write_text(folder / "other.json", text)});
    EXPECT_EQ(shown.code, 1);
    EXPECT_THAT(shown.err, HasSubstr("other.json holds no results of bitreel bench attention"));
  }
}

TEST(InfoAttention, ListsEveryBackendAndPrecision) {
  const Outcome outcome = run_bitreel({"info", "attention"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const Backend& backend : backends()) EXPECT_THAT(outcome.out, HasSubstr(std::string(backend.name)));
  for (const Precision precision : all_precisions())
    EXPECT_THAT(outcome.out, HasSubstr(std::string(name_of(precision))));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("cuda"), HasSubstr("pv fp8-ones-row"))) << "int8 on a GPU";
}

}  // namespace
}  // namespace bitreel::test
