// Files that somebody made to harm, streams that go away, signals: the whole program, from outside.
#include <ATen/ATen.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>

#include "app/clip_values.h"
#include "app/files/latents_file.h"
#include "base/json_file.h"
#include "pipelines/checkpoint/safetensors.h"
#include "pipelines/video/codecs.h"
#include "pipelines/video/reader.h"
#include "tests/app/program.h"
#include "tests/files.h"
#include "tests/pipelines/video/clips.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

fs::path copy_of_tiny_model(const TemporaryFolder& folder) {
  fs::copy(tiny_model, folder / "model", fs::copy_options::recursive);
  return folder / "model";
}

// A safetensors file with this metadata and one tensor of this name.
fs::path tensors_with(const TemporaryFolder& folder, const std::map<std::string, std::string>& metadata,
                      const std::string& name = "t") {
  write_safetensors(folder / "t.safetensors", {{name, at::zeros({2})}}, metadata);
  return folder / "t.safetensors";
}

// What info prints of files.

TEST(Info, PrintsABoundedPartOfMetadataThatNests) {
  const TemporaryFolder folder;
  for (const std::size_t depth : {60U, 60'000U, 200'000U}) {
    std::string value = "[";
    for (std::size_t bytes = 0; bytes < 120'000; bytes += 2 * depth) value += nested(depth) + ",";
    const Outcome outcome =
        run_bitreel({"info", tensors_with(folder, {{"bitreel", "0"}, {"config", value + "0]"}, {"note", value}})});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_LT(outcome.out.size(), 100'000U);
  }
}

TEST(Info, PrintsABoundedPartOfAVideosComment) {
  const TemporaryFolder folder;
  json deep = provenance_of("x");
  for (int depth = 0; depth < 1000; ++depth) deep["config"] = {{"again", deep["config"]}};
  write_clip(folder / "clip.mkv", {}, draw_clip(64, 64, 2), deep);
  const Outcome outcome = run_bitreel({"info", folder / "clip.mkv"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("no provenance; the comment is: {"), SizeIs(::testing::Lt(2000U))));
}

TEST(Info, CallsOnlyOursProvenance) {
  const TemporaryFolder folder;
  write_clip(folder / "ours.mkv", {}, draw_clip(64, 64, 2), provenance_of("a star"));
  EXPECT_THAT(run_bitreel({"info", folder / "ours.mkv"}).out, HasSubstr("provenance: {\n \"bitreel\""));
  write_clip(folder / "other.mkv", {}, draw_clip(64, 64, 2), {{"prompt", "a star"}});
  EXPECT_THAT(run_bitreel({"info", folder / "other.mkv"}).out, HasSubstr("no provenance; the comment is: "));
}

TEST(Info, DoesNotBelieveStepsThatCannotBe) {
  const TemporaryFolder folder;
  const auto told = [&](const std::string& done) {
    return run_bitreel({"info", tensors_with(folder, {{"bitreel", "0"}, {"steps_done", done}, {"steps", "100"}})}).out;
  };
  EXPECT_THAT(told("12"), HasSubstr("unfinished: 12 of 100 steps are denoised"));
  for (const char* done : {"99999", "0", "-3", "twelve"}) EXPECT_THAT(told(done), HasSubstr("damaged: it says that"));
}

TEST(Info, KnowsSidecarsPicturesAndFoldersForWhatTheyAre) {
  const TemporaryFolder folder;
  write_clip(folder / "clip.mp4", {}, draw_clip(64, 64, 2), provenance_of("a star"));
  write_clip(folder / "frames/", {}, draw_clip(64, 64, 3), provenance_of("a star"));
  EXPECT_THAT(run_bitreel({"info", folder / "clip.mp4.json"}).out,
              AllOf(HasSubstr("the sidecar of a clip"), HasSubstr("a star")));
  for (const char* name : {"frames", "frames/"}) {
    EXPECT_THAT(run_bitreel({"info", folder / name}).out, AllOf(HasSubstr("3 frames"), HasSubstr("a star")));
  }
  const Outcome picture = run_bitreel({"info", folder / "frames/frame_0001.png"});
  EXPECT_EQ(picture.code, 0) << picture.err;
  EXPECT_THAT(picture.out, AllOf(HasSubstr("png in "), HasSubstr("64x64, 1 frame\n"), HasSubstr("no provenance")));
  const Outcome none = run_bitreel({"info", folder.path()});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("holds neither model_index.json nor frame_0001.png"));
  EXPECT_THAT(run_bitreel({"info", write_text(folder / "a.json", "[]")}).err, HasSubstr("no sidecar of a clip"));
}

// What reaches the terminal.

TEST(Terminal, GetsNoEscapeSequencesFromFiles) {
  const TemporaryFolder folder;
  const std::string evil = "\033[2J\033]0;owned\a\r\xc2\x9b";
  const fs::path tensors = tensors_with(folder, {{"k" + evil, "v" + evil}}, "name" + evil);
  write_clip(folder / "clip.mkv", {}, draw_clip(64, 64, 2), {{"note", evil}});
  fs::copy(folder / "clip.mkv", folder / ("clip" + evil + ".mkv"));
  const auto expect_clean = [&](const Strings& arguments) {
    const Outcome outcome = run_bitreel(arguments);
    const std::string shown = outcome.out + outcome.err;
    EXPECT_THAT(shown,
                AllOf(Not(HasSubstr("\033")), Not(HasSubstr("\a")), Not(HasSubstr("\r")), Not(HasSubstr("\xc2\x9b"))))
        << arguments.front();
    EXPECT_THAT(shown, HasSubstr("\\x1b")) << arguments.front();
  };
  expect_clean({"info", tensors});
  expect_clean({"info", folder / ("clip" + evil + ".mkv")});
  expect_clean({"info", folder / ("none" + evil)});
  expect_clean(quick_clip(folder / "none/") + Strings{"--output", folder / ("no" + evil) / "a.mp4"});
  expect_clean(quick_clip(folder / ("clip" + evil + ".mp4")) + Strings{"--prompt", "red" + evil});
  EXPECT_TRUE(fs::exists(folder / ("clip" + evil + ".mp4")));
}

TEST(Terminal, GetsEventsExactly) {
  const TemporaryFolder folder;
  const std::string prompt = "red \033[2J \xe2\x80\xae";
  const Outcome outcome = run_bitreel(quick_clip(folder / "a.mp4") + Strings{"--progress", "json", "--prompt", prompt});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out.substr(0, outcome.out.find('\n')))["config"]["prompt"], prompt);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr(R"("unit":"step")"), HasSubstr(R"("unit":"frame")")));
}

// Configurations.

TEST(Config, ThatNestsWithoutAnEndIsRefused) {
  const TemporaryFolder folder;
  const fs::path model = copy_of_tiny_model(folder);
  write_text(model / "transformer/config.json", "{\"num_layers\": " + nested(200'000) + "}");
  const Outcome deep = run_bitreel(quick_clip(folder / "a.mp4") + Strings{"--model", model});
  EXPECT_EQ(deep.code, 1);
  EXPECT_THAT(deep.err, HasSubstr("config.json: nested more than 64 deep"));
  const Outcome yaml = run_bitreel({"generate", "--config", write_text(folder / "c.yaml", nested(100'000))});
  EXPECT_EQ(yaml.code, 2);
  EXPECT_THAT(yaml.err, HasSubstr("c.yaml:1: nested more than 64 deep"));
}

TEST(Config, OfASecondDocumentAFifoOrAPlanThatIsNoneIsRefused) {
  const TemporaryFolder folder;
  const std::string output = folder / "a.mp4";
  const auto refused = [&](const Strings& more) {
    const Outcome outcome = run_bitreel(quick_clip(output) + more);
    EXPECT_NE(outcome.code, 0);
    EXPECT_FALSE(fs::exists(output));
    return outcome.err;
  };
  const std::string two = write_text(folder / "two.yaml", "steps: 1\n---\nsteps: 2\n");
  EXPECT_THAT(refused({"--config", two}), HasSubstr("two.yaml:2: a second document begins"));
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(refused({"--config", folder / "fifo"}), HasSubstr("it is a FIFO"));
  const std::string plan = write_text(folder / "plan.yaml", "steps: 1\n");
  EXPECT_THAT(refused({"--attention", plan, "--print-config"}), HasSubstr("is no precision plan"));
  EXPECT_THAT(refused({"--guard-bound", "0.1"}), HasSubstr("--guard-bound has nothing to bound without --guard"));
  EXPECT_THAT(refused({"--prompt", " \t "}), HasSubstr("--prompt holds nothing but blanks"));
  EXPECT_THAT(refused({"--prompt", "\u3000\u00a0\u200b"}), HasSubstr("--prompt holds nothing but blanks"));
  std::string long_text = "prompt: ";
  long_text.append(10'000'000, 'x');
  const std::string long_prompt = write_text(folder / "long.yaml", long_text + "\n");
  const Outcome outcome = run_bitreel({"generate", "--config", long_prompt, "--output", output});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("long.yaml:1: prompt has 10000000 bytes, expected at most 131072"));
}

TEST(Config, TakesTheRatesOfFilm) {
  const TemporaryFolder folder;
  const auto fps_of = [&](const std::string& text) {
    const std::string output = folder / "a.mp4";
    EXPECT_EQ(run_bitreel(quick_clip(output) + Strings{"--fps", text, "--steps", "1", "--no-metadata"}).code, 0);
    return inspect_video(output).fps;
  };
  EXPECT_NEAR(fps_of("23.976"), 24000.0 / 1001, 1e-6);
  EXPECT_NEAR(fps_of("30000/1001"), 30000.0 / 1001, 1e-6);
  EXPECT_THAT(run_bitreel(quick_clip(folder / "b.mp4") + Strings{"--fps", "24/0"}).err, HasSubstr("or a fraction"));
}

TEST(Config, RatesComeBackFromTheirDecimals) {
  for (const char* text : {"24001/1001", "2397/100", "2398/100", "24000/1001", "23.976", "29.970", "12.5", "8"}) {
    const double fps = fps_from(text, "--fps");
    EXPECT_EQ(fps_from(fmt::format("{}", fps), "--fps"), fps) << text;
  }
  EXPECT_EQ(fps_from("23.98", "--fps"), 24000.0 / 1001);
  EXPECT_EQ(fps_from("23.97", "--fps"), 23.97);
  EXPECT_EQ(fps_from("24001/1001", "--fps"), 24001.0 / 1001);
}

// Weights.

void break_weight(const fs::path& file) {
  std::map<std::string, at::Tensor> tensors;
  const SafetensorsFile whole = SafetensorsFile::open(file);
  for (const auto& [name, info] : whole.tensors()) tensors[name] = whole.tensor(name).clone();
  tensors.begin()->second.view(-1)[0] = std::numeric_limits<double>::infinity();
  write_safetensors(file, tensors, whole.metadata());
}

TEST(Weights, OfAnyPartThatAreNotFiniteAreRefusedByName) {
  for (const char* part : {"text_encoder", "transformer", "vae"}) {
    const TemporaryFolder folder;
    const fs::path model = copy_of_tiny_model(folder);
    fs::path file;
    for (const auto& entry : fs::directory_iterator(model / part)) {
      if (entry.path().extension() == ".safetensors") file = entry.path();
    }
    break_weight(file);
    const std::string name = SafetensorsFile::open(file).tensors().begin()->first;
    const Outcome outcome = run_bitreel(quick_clip(folder / "a.mp4") + Strings{"--model", model});
    // A VAE's encoder is not loaded to make a clip.
    if (name.starts_with("encoder") && std::string(part) == "vae") continue;
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("tensor " + name + " holds infinity"));
    EXPECT_FALSE(fs::exists(folder / "a.mp4"));
  }
}

TEST(Latents, ThatAreNotFiniteAreNotDecoded) {
  const TemporaryFolder folder;
  const std::string latents = folder / "l.safetensors";
  ASSERT_EQ(run_bitreel(quick_clip(folder / "a.mp4") + Strings{"--save-latents", latents}).code, 0);
  const SafetensorsFile file = SafetensorsFile::open(latents);
  write_safetensors(folder / "nan.safetensors", {{"latents", at::full_like(file.tensor("latents"), NAN)}},
                    file.metadata());
  const Outcome outcome = run_bitreel({"decode", folder / "nan.safetensors"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("latents hold infinity or values that are not numbers"));
}

TEST(Weights, CutShortUnderARunningProgramAreAnErrorByName) {
  const TemporaryFolder folder;
  const fs::path model = copy_of_tiny_model(folder);
  const fs::path vae = model / "vae/diffusion_pytorch_model.safetensors";
  const TemporaryFolder work;
  // Mapped and cut before it is touched: by a second process that knows when, which is this one.
  const auto clip = quick_clip(work / "a.mp4") + Strings{"--model", model, "--steps", "600"};
  const auto cut = [&] {
    if (fork() != 0) return;
    for (int i = 0; i < 60'000 && access((work / "a.unfinished.safetensors").c_str(), F_OK) != 0; ++i) usleep(1000);
    for (const auto& entry : fs::directory_iterator(model / "transformer")) {
      if (entry.path().extension() == ".safetensors") truncate(entry.path().c_str(), 4096);
    }
    truncate(vae.c_str(), 4096);
    _exit(0);
  };
  const Outcome outcome = run_bitreel(clip, {.in_child = cut});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr(".safetensors: "), ::testing::AnyOf(HasSubstr("cut short"), HasSubstr("truncated"))));
  EXPECT_THAT(work.names(), Not(::testing::Contains(HasSubstr("partial"))));
}

// Names.

TEST(Decode, WritesBesideItsInputWhateverItsFileRecords) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  const std::string latents = elsewhere / "star.safetensors";
  ASSERT_EQ(run_bitreel(quick_clip(elsewhere / "star.webm") + Strings{"--save-latents", latents}).code, 0);
  fs::remove(elsewhere / "star.webm");
  fs::copy(latents, folder / "given.safetensors");
  ASSERT_EQ(run_bitreel({"decode", folder / "given.safetensors"}).code, 0);
  EXPECT_THAT(folder.names(), ElementsAre("given.safetensors", "given.webm", "given.webm.json"));
  EXPECT_FALSE(fs::exists(elsewhere / "star.webm"));
}

TEST(Plan, DoesNotOverwriteItsMeasurement) {
  const TemporaryFolder folder;
  const std::string measured = write_text(folder / "m.json", "{}");
  const Outcome outcome = run_bitreel({"plan", measured, "--output", measured});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("m.json would be overwritten: it is read as well"));
}

TEST(Names, MayBeLongAndAreRefusedWhenTheyAreTooLong) {
  const TemporaryFolder folder;
  const std::string most(225, 'n');
  const Outcome fits = run_bitreel(quick_clip(folder / (most + ".mp4")));
  EXPECT_EQ(fits.code, 0) << fits.err;
  EXPECT_THAT(folder.names(), ElementsAre(most + ".mp4", most + ".mp4.json"));
  const Outcome outcome = run_bitreel(quick_clip(folder / (std::string(240, 'n') + ".mp4")));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the name is too long"), Not(HasSubstr("[denoise]"))));
}

// Streams.

void stdout_to(const char* path) {
  dup2(open(path, O_WRONLY), STDOUT_FILENO);
}

TEST(Streams, StandardErrorThatIsClosedOrFullCostsNothing) {
  for (const bool full : {false, true}) {
    const TemporaryFolder folder;
    const auto prepare = [&] {
      if (full) dup2(open("/dev/full", O_WRONLY), STDERR_FILENO);
      if (!full) close(STDERR_FILENO);
    };
    EXPECT_EQ(run_bitreel(quick_clip(folder / "a.mp4"), {.in_child = prepare}).code, 0);
    EXPECT_EQ(inspect_video(folder / "a.mp4").frames, 17);
    EXPECT_EQ(run_bitreel({"generate"}, {.in_child = prepare}).code, 2);
  }
}

TEST(Streams, OutputThatDoesNotGetOutIsAFailure) {
  const TemporaryFolder folder;
  const ProgramOptions full{.in_child = [] { stdout_to("/dev/full"); }};
  const ProgramOptions closed{.in_child = [] { close(STDOUT_FILENO); }};
  for (const Strings& arguments : {Strings{"info", tiny_model}, Strings{"--help"}, Strings{"info", "attention"}}) {
    const Outcome outcome = run_bitreel(arguments, full);
    EXPECT_EQ(outcome.code, 1) << arguments.front();
    EXPECT_THAT(outcome.err, HasSubstr("standard output: cannot write: No space left on device"));
    EXPECT_EQ(run_bitreel(arguments, closed).code, 1) << arguments.front();
  }
  // A clip is made all the same.
  const Outcome events = run_bitreel(quick_clip(folder / "a.mp4") + Strings{"--progress", "json"}, full);
  EXPECT_EQ(events.code, 1);
  EXPECT_EQ(inspect_video(folder / "a.mp4").frames, 17);
}

TEST(Streams, AReaderThatLeavesIsNoCrash) {
  const auto no_reader = [] {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) return;
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
  };
  const Outcome outcome = run_bitreel({"info", tiny_model}, {.in_child = no_reader});
  EXPECT_EQ(outcome.code, 128 + SIGPIPE);
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST(Streams, NoneAtAllNoHomeNoLocaleFewFiles) {
  const TemporaryFolder folder;
  const auto bare = [] {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) close(stream);
    unsetenv("HOME");
    setenv("LANG", "C", 1);
    setenv("LC_ALL", "C", 1);
    const rlimit few{.rlim_cur = 64, .rlim_max = 64};
    setrlimit(RLIMIT_NOFILE, &few);
  };
  EXPECT_EQ(run_bitreel(quick_clip(folder / "Bär.mp4"), {.in_child = bare}).code, 0);
  EXPECT_EQ(inspect_video(folder / "Bär.mp4").frames, 17);
  EXPECT_THAT(folder.names(), ElementsAre("Bär.mp4", "Bär.mp4.json"));
}

// Signals.

TEST(Signals, ASecondOneLeavesNoHalfWrittenFiles) {
  for (const char* output : {"a.mp4", "frames/"}) {
    const TemporaryFolder folder;
    const Outcome outcome =
        run_bitreel(quick_clip(folder / output) +
                        Strings{"--width", "384", "--height", "384", "--num-frames", "49", "--steps", "1"},
                    {.signal_after = "[decode]", .signal = SIGINT, .signal_again_after = "once more stops at once"});
    EXPECT_EQ(outcome.code, 1000 + SIGINT) << outcome.err;
    EXPECT_THAT(folder.names(), Not(::testing::Contains(HasSubstr("partial"))));
  }
}

TEST(Signals, AHangUpStopsAsAnInterruptDoes) {
  const TemporaryFolder folder;
  const auto clip = quick_clip(folder / "a.mp4") + Strings{"--steps", "900"};
  const Outcome outcome = run_bitreel(clip, {.signal_after = "[denoise] 1/900", .signal = SIGHUP, .in_child = [] {
                                               std::signal(SIGHUP, SIG_DFL);  // as nohup may have left it
                                             }});
  EXPECT_EQ(outcome.code, 128 + SIGHUP) << outcome.err;
  EXPECT_THAT(folder.names(), ElementsAre("a.unfinished.safetensors"));
}

// Every pair of codec and container that --help lists.

TEST(Codecs, EveryPairIsAClip) {
  const TemporaryFolder folder;
  const std::string latents = folder / "l.safetensors";
  ASSERT_EQ(run_bitreel(quick_clip(folder / "a.mp4") +
                        Strings{"--width", "64", "--height", "64", "--num-frames", "9", "--save-latents", latents})
                .code,
            0);
  for (const Codec& codec : codecs()) {
    if (needs_gpu(codec)) continue;
    for (const std::string_view extension : codec.extensions) {
      const std::string name = std::string(codec.name) + "." + std::string(extension);
      const std::string output = codec.name == "png" ? folder / "frames/" : folder / name;
      const Outcome outcome = run_bitreel({"decode", latents, "--output", output, "--codec", std::string(codec.name)});
      EXPECT_EQ(outcome.code, 0) << name << ": " << outcome.err;
      EXPECT_EQ(inspect_video(output).frames, 9) << name;
    }
  }
}

}  // namespace
}  // namespace bitreel::test
