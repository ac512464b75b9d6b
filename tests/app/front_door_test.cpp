// bitreel without LibTorch: what it answers by itself, and that the rest is the whole program's business.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "tests/app/program.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Strings = std::vector<std::string>;

TEST(FrontDoor, LoadsNoLibTorch) {
  const Outcome libraries =
      run_bitreel({"--version"}, {.in_child = [] { setenv("LD_TRACE_LOADED_OBJECTS", "1", /*overwrite=*/1); }});
  EXPECT_THAT(libraries.out, AllOf(HasSubstr("libavcodec"), Not(HasSubstr("libtorch_cpu"))));
}

// The program without the file that it becomes: whatever it still does it does alone.
class FrontDoor : public ::testing::Test {
 protected:
  FrontDoor() { fs::copy(BITREEL_BINARY, folder_ / "bitreel"); }
  Outcome alone(const Strings& arguments) { return run_bitreel(arguments, {.program = folder_ / "bitreel"}); }
  [[nodiscard]] const TemporaryFolder& folder() const { return folder_; }

 private:
  TemporaryFolder folder_;
};

TEST_F(FrontDoor, AnswersWhatNeedsNoTensors) {
  EXPECT_EQ(alone({"--version"}).code, 0);
  EXPECT_THAT(alone({"--help"}).out, HasSubstr("generate"));
  for (const char* command : {"generate", "decode", "resume", "info", "judge", "plan", "calibrate", "batch", "compare",
                              "bench", "completion"}) {
    const Outcome help = alone({command, "--help"});
    EXPECT_EQ(help.code, 0) << help.err;
    EXPECT_THAT(help.out, HasSubstr("--help")) << command;
  }
  EXPECT_THAT(alone({"completion", "man"}).out, StartsWith(".TH"));
  for (const Strings& mistake : {Strings{"genrate"}, Strings{"generate", "--stpes", "3"}, Strings{"generate"},
                                 Strings{"generate", "--prompt", "x", "--steps", "many"},
                                 Strings{"generate", "--prompt", "x", "--attention", "int9"},
                                 Strings{"generate", "--prompt", "x", "--attention-backend", "gpu"}}) {
    const Outcome outcome = alone(mistake);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, StartsWith("bitreel: ")) << mistake.front();
  }
}

TEST_F(FrontDoor, ShowsFiles) {
  const std::string clip = folder() / "clip.mp4";
  ASSERT_EQ(run_bitreel(quick_clip(clip)).code, 0);
  for (const std::string& file : {clip, clip + ".json", std::string("tests/golden/cog2b/text.safetensors")}) {
    const Outcome info = alone({"info", file});
    EXPECT_EQ(info.code, 0) << info.err;
    EXPECT_EQ(info.out, run_bitreel({"info", file}).out);
  }
}

TEST_F(FrontDoor, SaysThatTheRestIsMissing) {
  const Outcome outcome = alone(quick_clip(folder() / "clip.mp4"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("bitreel-engine is missing: it belongs beside the program"));
}

TEST(Info, OfTheSystemIsWhatAReportNeeds) {
  const Outcome info = run_bitreel({"info", "system"}, {.in_child = [] { setenv("BITREEL_TRIED", "yes\x1b", 1); }});
  ASSERT_EQ(info.code, 0) << info.err;
  for (const char* text : {"bitreel 0.", "Linux", "threads", "free", "GPU", "cpu-scalar", "LibTorch 2.", "libavcodec ",
                           "h264 (libx264)", "assets/pocket", R"("BITREEL_TRIED":"yes\u001b")"}) {
    EXPECT_THAT(info.out, HasSubstr(text));
  }
}

}  // namespace
}  // namespace bitreel::test
