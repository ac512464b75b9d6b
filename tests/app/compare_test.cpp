// bitreel compare: files of variants, measures, videos that exist, runs that go on, and the page.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <opencv2/imgproc.hpp>

#include "app/compare/clip_measures.h"
#include "app/compare/comparison.h"
#include "app/compare/comparison_folder.h"
#include "app/reports/html_page.h"
#include "base/error.h"
#include "base/json_file.h"
#include "pipelines/video/writer.h"
#include "tests/app/program.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// A blob that moves right; noise: added to every second pixel of frame 3.
fs::path write_clip(const fs::path& path, int frames, int noise = 0, int width = 64) {
  fs::create_directories(path.parent_path());
  VideoWriter video(path, {.fps = 8, .codec = path.extension() == ".mkv" ? "ffv1" : ""}, width, 48);
  for (int i = 0; i < frames; ++i) {
    cv::Mat frame(48, width, CV_8UC3, cv::Scalar(40, 60, 90));
    cv::circle(frame, {12 + 3 * i, 24}, 9, cv::Scalar(220, 120, 30), cv::FILLED, cv::LINE_AA);
    for (int x = 0; i == 3 && x < width; x += 2) frame.col(x) += cv::Scalar::all(noise);
    video.push({.rgb = frame.data, .width = frame.cols, .height = frame.rows});
  }
  video.finish();
  return path;
}

TEST(ComparisonFolder, PassesByFactsThatNestWithoutAnEnd) {
  const TemporaryFolder work;
  const ComparisonFolder folder(work / "out");
  write_text(folder.clip("int8", 0), "");
  folder.write_facts("int8", 0, {{"key", "k"}});
  ASSERT_TRUE(folder.read_facts("int8", 0, "k").has_value());
  const std::string deep = R"({"key":"k","more":)" + std::string(200'000, '[') + std::string(200'000, ']') + "}";
  for (const auto& entry : fs::directory_iterator(work / "out/int8")) {
    if (entry.path().extension() == ".json") write_text(entry.path(), deep);
  }
  EXPECT_FALSE(folder.read_facts("int8", 0, "k").has_value());
}

TEST(Comparison, ReadsVariantsThatDifferFromTheDefaults) {
  const TemporaryFolder folder;
  const fs::path file = write_text(folder / "c.yaml",
                                   "prompts: [a red circle, a blue star]\nseeds: 7\ndefaults: {steps: 4}\n"
                                   "variants:\n  int8: {attention: int8}\n  plain: {}\n  longer: {steps: 8}\n"
                                   "baseline: plain\nrepeats: 3\n");
  const Comparison comparison = read_comparison(file);
  EXPECT_THAT(comparison.prompts, ElementsAre("a red circle", "a blue star"));
  EXPECT_THAT(comparison.seeds, ElementsAre(7, 8));
  EXPECT_EQ(comparison.repeats, 3);
  ASSERT_THAT(comparison.variants, SizeIs(3));
  EXPECT_EQ(comparison.baseline().name, "plain");
  EXPECT_EQ(comparison.variants[1].name, "int8");
  EXPECT_EQ(comparison.variants[1].options.attention, "int8");
  EXPECT_EQ(comparison.variants[1].options.steps, 4);
  EXPECT_EQ(comparison.variants[2].options.steps, 8);
}

TEST(Comparison, RefusesWhatMakesNoSenseWithTheLine) {
  const TemporaryFolder folder;
  const auto complaint = [&](const std::string& text) {
    const fs::path file = write_text(folder / "c.yaml", text);
    return error_text<UsageError>([&] { read_comparison(file); });
  };
  const std::string two = "variants: {a: {}, b: {attention: int8}}\n";
  EXPECT_THAT(complaint("prompts: [x]\nvariants: {a: {}}\n"), HasSubstr("c.yaml:2: variants is not a map of two"));
  EXPECT_THAT(complaint("prompts: [x]\n" + two + "baseline: c\n"), HasSubstr("c.yaml:3: baseline is c"));
  EXPECT_THAT(complaint("prompts: [x]\n" + two + "seeds: [1, 2]\n"), HasSubstr("2 seeds for 1 prompts"));
  EXPECT_THAT(complaint("prompts: [x]\n" + two + "repeats: 0\n"), HasSubstr("repeats is 0"));
  EXPECT_THAT(complaint("prompts: [x]\nvariants: {a: {}, b: {atention: int8}}\n"), HasSubstr("attention"));
  EXPECT_THAT(complaint("prompts: [x]\nvariants: {a: {}, b: {seed: 4}}\n"), HasSubstr("no key seed"));
  EXPECT_THAT(complaint("prompts: [x]\nvariants: {a: {}, ../b: {}}\n"), HasSubstr("can't be a folder's name"));
}

TEST(ClipMeasures, FindsTheFrameThatDiffersMost) {
  const TemporaryFolder folder;
  const fs::path clean = write_clip(folder / "a.mkv", 6), noisy = write_clip(folder / "b.mkv", 6, 50);
  const ClipMeasures same = measure_clip(clean, clean), other = measure_clip(noisy, clean);
  EXPECT_THAT(same.psnr, AllOf(SizeIs(6), Each(99)));
  EXPECT_EQ(other.worst_frame, 3);
  EXPECT_EQ(other.psnr[2], 99);
  EXPECT_LT(other.psnr[3], 25);
  EXPECT_THAT(other.flicker, SizeIs(5));
  EXPECT_GT(other.flicker[2], same.flicker[2] + 5);
  EXPECT_EQ(other.difference.cols, 3 * 64 + 2 * 4);
  EXPECT_THAT(measure_clip(clean).psnr, SizeIs(0));
}

TEST(ClipMeasures, SaysHowClipsDoNotFit) {
  const TemporaryFolder folder;
  const fs::path clip = write_clip(folder / "a.mkv", 6);
  const fs::path longer = write_clip(folder / "b.mkv", 7), wider = write_clip(folder / "c.mkv", 6, 0, 80);
  EXPECT_THAT(error_text([&] { measure_clip(longer, clip); }), HasSubstr("is longer than"));
  EXPECT_THAT(error_text([&] { measure_clip(clip, longer); }), HasSubstr("has 6 frames"));
  EXPECT_THAT(error_text([&] { measure_clip(wider, clip); }), AllOf(HasSubstr("80x48"), HasSubstr("64x48")));
}

TEST(HtmlPage, DataCannotEndItsScript) {
  const std::string page = html_page("<p>{{words}}</p><script>{{data}}</script>", {{"words", "hello"}},
                                     {{"prompt", "</script><script>alert(1)</script>"}});
  EXPECT_THAT(page, HasSubstr("<p>hello</p>"));
  EXPECT_THAT(page, HasSubstr("\\u003c/script>"));
  EXPECT_THAT(page.substr(page.find("<script>") + 8), Not(HasSubstr("<script>")));
  EXPECT_THAT(error_text([] { html_page("{{nothing}}", {}, {}); }), HasSubstr("no part for"));
}

TEST(Compare, PutsExistingVideosSideBySide) {
  const TemporaryFolder folder;
  const fs::path a = write_clip(folder / "a/clip.mp4", 6), b = write_clip(folder / "b/clip.mkv", 6, 50);
  const Outcome outcome = run_bitreel({"compare", a.string(), b.string(), "--output", (folder / "out").string()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("[measure] 2/2"), HasSubstr("s/video")));
  const nlohmann::json report = read_json(folder / "out/compare.json");
  EXPECT_EQ(report["baseline"], "clip");
  ASSERT_THAT(report["variants"], SizeIs(2));
  EXPECT_EQ(report["variants"][1]["name"], "clip-2");
  EXPECT_EQ(report["variants"][1]["prompts"][0]["worst_frame"], 3);
  for (const char* file : {"index.html", "compare.csv", "videos/clip.mp4", "videos/clip-2.mp4",
                           "videos/clip-2-difference.jpg", "side-by-side/clip-000.mp4", "side-by-side/clip-000.jpg"}) {
    EXPECT_TRUE(fs::exists(folder / "out" / file)) << file;
  }
  const fs::path longer = write_clip(folder / "longer.mp4", 7);
  const Outcome refused = run_bitreel({"compare", a.string(), longer.string(), "--output", (folder / "none").string()});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("is longer than"));
  EXPECT_FALSE(fs::exists(folder / "none"));
}

class CompareRun : public ::testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> command(int steps) const {
    const fs::path file =
        write_text(folder_ / "c.yaml",
                   "prompts: [a red circle, a blue star]\n"
                   "defaults: {model: " +
                       tiny_model + ", steps: " + std::to_string(steps) +
                       ", device: cpu}\n"
                       "variants: {full: {}, int8: {attention: int8}, fewer: {steps: 2}}\nrepeats: 2\n");
    return {"compare", file.string(), "--output", out().string(), "--progress", "json"};
  }
  [[nodiscard]] fs::path out() const { return folder_ / "out"; }

 private:
  TemporaryFolder folder_;
};

TEST_F(CompareRun, MeasuresEveryVariantAgainstTheBaseline) {
  const Outcome outcome = run_bitreel(command(3));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr(R"("unit":"prompt")"));
  const nlohmann::json report = read_json(out() / "compare.json");
  EXPECT_EQ(report["bitreel_comparison"], 2);
  EXPECT_THAT(report["seeds"], ElementsAre(0, 1));
  ASSERT_THAT(report["variants"], SizeIs(3));
  const nlohmann::json &full = report["variants"][0], &int8 = report["variants"][1], &fewer = report["variants"][2];
  EXPECT_THAT(full["latent_error"], ElementsAre(0, 0, 0));
  ASSERT_THAT(int8["latent_error"], SizeIs(3));
  EXPECT_GT(int8["latent_error"][2], 0);
  EXPECT_FALSE(fewer.contains("latent_error") && !fewer["latent_error"].empty());
  EXPECT_EQ(int8["prompts"][0]["executed"][0][0], "int8");
  EXPECT_THAT(int8["prompts"][0]["repeated_step_seconds"], SizeIs(6));
  EXPECT_TRUE(int8["statistics"]["flicker"].contains("test"));
  EXPECT_FALSE(full["statistics"]["flicker"].contains("test"));
  EXPECT_GT(int8["speed"]["frames_per_second"], 0);
  EXPECT_FALSE(fs::exists(out() / "work"));
  EXPECT_THAT(read_text(out() / "index.html"), HasSubstr("bitreel_comparison"));
}

TEST_F(CompareRun, GoesOnWhereItWasInterrupted) {
  const Outcome stopped =
      run_bitreel(command(60), {.file_size_limit = {}, .signal_after = step_event("2/2 full", 1), .signal = SIGINT});
  EXPECT_EQ(stopped.code, 128 + SIGINT) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("holds the 1 of 2 prompts"));
  EXPECT_THAT(read_json(out() / "compare.json")["prompts"], SizeIs(1));
  const auto before = fs::last_write_time(out() / "int8/clip-000.mp4");
  const Outcome outcome = run_bitreel(command(60));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(read_json(out() / "compare.json")["prompts"], SizeIs(2));
  EXPECT_EQ(fs::last_write_time(out() / "int8/clip-000.mp4"), before);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("2/2 int8"), Not(HasSubstr("1/2 int8"))));
}

TEST(Compare, RefusesMixturesOfWhatToCompare) {
  const auto complaint = [](std::vector<std::string> more) {
    more.insert(more.begin(), "compare");
    const Outcome outcome = run_bitreel(more);
    EXPECT_EQ(outcome.code, 2);
    return outcome.err;
  };
  EXPECT_THAT(complaint({}), HasSubstr("something to compare"));
  EXPECT_THAT(complaint({"a.yaml", "b.mp4", "--output", "/tmp/none"}), HasSubstr("one YAML file, or videos alone"));
  EXPECT_THAT(complaint({"a.yaml", "--attention", "int8", "--output", "/tmp/none"}), HasSubstr("the file's own keys"));
  EXPECT_THAT(complaint({"a.mp4", "--output", "/tmp/none"}), HasSubstr("two videos"));
}

}  // namespace
}  // namespace bitreel::test
