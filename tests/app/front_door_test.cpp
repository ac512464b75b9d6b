// bitreel without the libraries that take long to load: what it answers by itself, and that the rest is the whole
// program's, which begins before anything has happened.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "tests/app/program.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// The program without the file that it becomes.
class FrontDoor : public ::testing::Test {
 protected:
  FrontDoor() { fs::copy(BITREEL_BINARY, program_ / "bitreel"); }
  Outcome alone(const Strings& arguments) {
    return run_bitreel(arguments, {.program = program_ / "bitreel", .in_child = [] {
                                     setenv("BITREEL_HOME", fs::current_path().c_str(), /*overwrite=*/1);
                                   }});
  }
  [[nodiscard]] std::string file(const std::string& name) const { return (folder_ / name).string(); }
  [[nodiscard]] std::vector<std::string> files() const { return folder_.names(); }

 private:
  TemporaryFolder program_;
  TemporaryFolder folder_;
};

TEST_F(FrontDoor, IsWithoutWhatTakesLongToLoad) {
  const Outcome libraries =
      run_bitreel({"--version"}, {.in_child = [] { setenv("LD_TRACE_LOADED_OBJECTS", "1", /*overwrite=*/1); }});
  EXPECT_THAT(libraries.out, AllOf(HasSubstr("libc10"), Not(HasSubstr("libtorch_cpu")), Not(HasSubstr("libav")),
                                   Not(HasSubstr("opencv"))));
}

TEST_F(FrontDoor, AnswersWhatNeedsNoTensor) {
  EXPECT_EQ(alone({"--version"}).code, 0);
  EXPECT_THAT(alone({"--help"}).out, HasSubstr("generate"));
  for (const char* command : {"generate", "decode", "resume", "info", "judge", "plan", "calibrate", "batch", "compare",
                              "bench", "completion"}) {
    const Outcome help = alone({command, "--help"});
    EXPECT_EQ(help.code, 0) << help.err;
    EXPECT_THAT(help.out, HasSubstr("--help")) << command;
  }
  EXPECT_THAT(alone({"completion", "man"}).out, StartsWith(".TH"));
}

TEST_F(FrontDoor, RefusesMistakes) {
  for (const Strings& mistake : {Strings{"genrate"}, Strings{"generate", "--stpes", "3"}, Strings{"info"},
                                 Strings{"generate", "--prompt", "x", "--steps", "many"},
                                 Strings{"generate", "--prompt", "x", "--attention", "int9"},
                                 Strings{"generate", "--prompt", "x", "--attention-backend", "gpu"},
                                 Strings{"generate", "--config", "no.yaml"}, Strings{"batch", "no.yaml"}}) {
    const Outcome outcome = alone(mistake);
    EXPECT_EQ(outcome.code, 2) << mistake.front() << " " << mistake.back();
    EXPECT_THAT(outcome.err, AllOf(StartsWith("bitreel: "), Not(HasSubstr("bitreel-engine"))));
  }
}

TEST_F(FrontDoor, ShowsFiles) {
  ASSERT_EQ(run_bitreel(quick_clip(file("clip.mp4"))).code, 0);
  for (const std::string& path : {file("clip.mp4.json"), std::string("tests/golden/cog2b/text.safetensors")}) {
    const Outcome info = alone({"info", path});
    EXPECT_EQ(info.code, 0) << info.err;
    EXPECT_EQ(info.out, run_bitreel({"info", path}).out);
  }
}

TEST_F(FrontDoor, ChangesNothingBeforeTheWholeProgramBegins) {
  write_text(file("jobs.yaml"), "jobs: [{name: a, model: " + tiny_model + ", prompt: x, steps: 1}]\n");
  // Its job fails before a tensor is needed.
  fs::copy(tiny_model, file("model"), fs::copy_options::recursive);
  fs::remove(file("model") + "/vae/diffusion_pytorch_model.safetensors");
  write_text(file("broken.yaml"), "jobs: [{name: a, model: " + file("model") + ", prompt: x}]\n");
  write_text(file("compare.yaml"),
             "prompts: [x]\ndefaults: {model: " + tiny_model + "}\nvariants: {a: {}, b: {steps: 2}}\nbaseline: a\n");
  ASSERT_EQ(run_bitreel(quick_clip(file("clip.mp4")) + Strings{"--save-latents", file("clip.safetensors")}).code, 0);
  const std::vector<std::string> before = files();
  const std::string clip = file("clip.mp4");
  const std::string out = file("out");
  for (const Strings& command :
       {quick_clip(file("other.mp4")), Strings{"decode", file("clip.safetensors"), "--output", file("other.mp4")},
        Strings{"batch", file("jobs.yaml"), "--output", out}, Strings{"batch", file("broken.yaml"), "--output", out},
        Strings{"batch", file("jobs.yaml"), "--dry-run", "-o", out},
        Strings{"compare", file("compare.yaml"), "--output", out}, Strings{"compare", clip, clip, "--output", out},
        Strings{"calibrate", "--model", tiny_model, "--output", file("measured.json")},
        Strings{"judge", clip, "--output", file("judged.json")},
        Strings{"bench", "attention", "--output", file("bench.json")}, Strings{"info", clip},
        Strings{"info", "system"}}) {
    const Outcome outcome = alone(command);
    EXPECT_EQ(outcome.code, 1) << command.front();
    EXPECT_THAT(outcome.out, IsEmpty()) << command.front();
    EXPECT_THAT(outcome.err, StartsWith("bitreel: bitreel-engine is missing: it belongs beside the program"));
    EXPECT_EQ(files(), before) << command.front();
  }
}

}  // namespace
}  // namespace bitreel::test
