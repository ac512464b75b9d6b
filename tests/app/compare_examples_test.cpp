// The examples of headers in app/compare/ and of the reports it writes, compiled and run (manuals_test.cpp compares).
#include <gmock/gmock.h>

#include <filesystem>
#include <iostream>
#include <opencv2/imgproc.hpp>

#include "app/clip.h"
#include "app/compare/baseline_steps.h"
#include "app/compare/clip_facts.h"
#include "app/compare/clip_judge.h"
#include "app/compare/clip_measures.h"
#include "app/compare/compare_videos.h"
#include "app/compare/comparison.h"
#include "app/compare/comparison_folder.h"
#include "app/compare/prepared_variant.h"
#include "app/compare/report.h"
#include "app/compare/run_comparison.h"
#include "app/reports/html_page.h"
#include "app/reports/side_by_side.h"
#include "base/written_file.h"
#include "pipelines/video/writer.h"
#include "tests/app/program.h"
#include "tests/examples_folder.h"
#include "tests/files.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::SizeIs;

class CompareExamples : public ExamplesFolder {
 protected:
  CompareExamples() {
    write_text("./compare.yaml", "prompts: [a red circle, a blue star]\nseeds: 7\ndefaults: {model: " +
                                     (repository() / tiny_model).string() +
                                     ", steps: 1, device: cpu}\nvariants: {full: {}, int8: {attention: int8}}\n");
  }

  // 25 frames of the default model's size: a circle that moves right.
  static void write_clip(const fs::path& path, int radius) {
    VideoWriter video(path, {.fps = 8, .codec = path.extension() == ".mkv" ? "ffv1" : ""}, 128, 128);
    for (const cv::Mat& frame : frames(radius)) video.push({.rgb = frame.data, .width = 128, .height = 128});
    video.finish();
  }
  static std::vector<cv::Mat> frames(int radius) {
    std::vector<cv::Mat> all;
    for (int i = 0; i < 25; ++i) {
      all.emplace_back(128, 128, CV_8UC3, cv::Scalar(40, 60, 90));
      cv::circle(all.back(), {24 + 3 * i, 64}, radius, cv::Scalar(220, 120, 30), cv::FILLED, cv::LINE_AA);
    }
    return all;
  }
};

TEST_F(CompareExamples, OfVariants) {
  write_text("./prompts.txt", "a red circle\n");
  const GenerateOptions options;
  write_text("./variants.yaml", R"(
prompts: assets/prompts/sweep-32.json      # or a list of prompts
seeds: 7                                   # prompt i gets 7 + i; or a list, one for each prompt; 0 when absent
defaults: {steps: 30}                      # settings of bitreel generate, for all
variants:                                  # name -> the settings that differ
  full: {}
  int8: {attention: int8}
  fewer: {steps: 15}
baseline: full                             # what the others are measured against; the first when absent
repeats: 1                                 # denoisings that are timed, of each clip
)");
  EXPECT_EQ(read_comparison("variants.yaml").variants[2].options.steps, 15);
  {
    const Comparison comparison = read_comparison("compare.yaml");
    const Comparison of_flags = comparison_of({"int8", "plan.yaml"}, "prompts.txt", options);
    EXPECT_EQ(of_flags.baseline().name, "full");
    EXPECT_THAT(of_flags.variants, SizeIs(3));
  }
  const Comparison comparison = read_comparison("compare.yaml");
  const ComparisonFolder folder("out/compare");
  const std::vector<PreparedVariant> variants = prepare_variants(comparison, folder);
  const Render render = variants[1].render_of(comparison, folder, 0);
  EXPECT_EQ(render.options.output, "out/compare/int8/clip-000.mp4");
  EXPECT_EQ(variants[0].render.model, variants[1].render.model);
}

TEST_F(CompareExamples, OfOneClip) {
  const Comparison comparison = read_comparison("compare.yaml");
  const std::vector<PreparedVariant> variants = prepare_variants(comparison, ComparisonFolder("out/compare"));
  const PreparedVariant& int8 = variants[1];
  const Render& render = int8.render;
  const Request& request = render.request;
  const std::shared_ptr<Pipeline> model = render.model;
  const NamedTensors text = model->encode(request);
  std::optional<double> error;
  const BaselineSteps steps("out/compare/work/steps-000");
  model->denoise(request, text, {.on_step = [&](const StepEvent& event) { steps.keep(event); }});
  model->denoise(request, text, {.on_step = [&](const StepEvent& event) { error = steps.relative_l2(event); }});
  EXPECT_EQ(error, 0);

  Console console(ProgressStyle::silent);
  const ClipRecord record = run_clip(render, console, {.identity = int8.identity, .plan = &int8.plan});
  const ClipRecord repeated = record;
  write_clip("full-000.mkv", 20);
  write_clip("int8-000.mkv", 21);
  const ClipMeasures measures = measure_clip("int8-000.mkv", "full-000.mkv");
  measures.psnr[7];
  EXPECT_GT(measures.psnr[7], 10);
  const ComparisonFolder folder("out/compare");
  {
    nlohmann::ordered_json facts = {{"variant", "int8"}, {"prompt", 0}};
    add_record(facts, record, render);
    add_measures(facts, measures, folder, "int8", 0);
    add_times(facts, repeated.step_seconds);
    EXPECT_EQ(facts["executed_shares"], "int8 100.0 %");
    EXPECT_THAT(facts["repeated_step_seconds"], SizeIs(2));
    EXPECT_TRUE(fs::exists("out/compare/int8/difference-000.jpg"));
  }
  {
    write_text("out/compare/int8/clip-003.mp4", "");
    const nlohmann::ordered_json facts = {{"key", "all that it follows from"}};
    const ComparisonFolder folder("out/compare");
    const std::filesystem::path clip = folder.clip("int8", 3);
    folder.write_facts("int8", 3, facts);
    const auto found = folder.read_facts("int8", 3, facts["key"]);
    EXPECT_EQ(found.value(), facts);
    EXPECT_FALSE(folder.read_facts("int8", 3, "something else").has_value());
  }
  write_clip("int8-003.mkv", 20);
  const ClipJudge judge("assets/prompts/sweep-32.json");
  judge.all_right("int8-003.mkv", 3);
  EXPECT_TRUE(judge.all_right("int8-003.mkv", 3).has_value());
}

TEST_F(CompareExamples, OfReports) {
  write_clip("full.mkv", 20);
  const std::string prompt = "a circle";
  const Comparison comparison{.prompts = {prompt}, .prompts_file = {}, .seeds = {}, .variants = {}};
  ClipFacts facts;
  facts["full"][0] = json_of(measure_clip("full.mkv"));
  facts["full"][0]["video"] = "full.mkv";
  {
    write_side_by_side({{.name = "full", .frames = "full.mkv", .facts = facts["full"][0]}}, prompt, "out/compare", 0);
    const auto report = write_report(comparison, "out/compare", {{.name = "full"}}, facts);
    std::cout << table_of(report);
    EXPECT_EQ(report["frames"][0], 25);
  }
  const nlohmann::ordered_json report = {{"bitreel_comparison", 2}};
  write_whole("out/index.html", html_page(embedded::compare_html, {{"compare.js", embedded::compare_js}}, report));
  EXPECT_THAT(read_text("out/index.html"), ::testing::StartsWith("<!doctype html>"));
  const std::vector<cv::Mat> full = frames(20), int8 = frames(21);
  const std::size_t i = 3;
  const cv::Mat frame = grid_of({{full[i], {"full"}}, {int8[i], {"int8", "PSNR 36.1 dB"}}});
  write_frame("difference.jpg", difference_of(full[i], int8[i]));
  EXPECT_EQ(frame.cols % 2, 0);
}

TEST_F(CompareExamples, OfWholeComparisons) {
  Console console(ProgressStyle::silent);
  write_clip("full.mp4", 20);
  write_clip("int8.mp4", 21);
  compare_videos({"full.mp4", "int8.mp4"}, "out/compare", console);
  EXPECT_TRUE(fs::exists("out/compare/index.html"));
  fs::remove_all("out/compare");
  run_comparison(read_comparison("compare.yaml"), "out/compare", console);
  EXPECT_TRUE(fs::exists("out/compare/int8/clip-001.facts.json"));
}

}  // namespace
}  // namespace bitreel::test
