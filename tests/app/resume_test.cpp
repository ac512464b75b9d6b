// bitreel resume: from what an interrupted run left to the clip.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/files/latents_file.h"
#include "base/json_file.h"
#include "pipelines/checkpoint/safetensors.h"
#include "pipelines/video/reader.h"
#include "tests/app/program.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// What a clip of so many steps leaves when it is interrupted after its first ones.
std::string interrupted_clip(const TemporaryFolder& folder, int steps) {
  const std::string count = std::to_string(steps);
  const Outcome outcome =
      run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--steps", count, "--progress", "json"},
                  {.file_size_limit = {}, .signal_after = step_event("denoise", 1), .signal = SIGINT});
  EXPECT_EQ(outcome.code, 128 + SIGINT) << outcome.err;
  return folder / "clip.unfinished.safetensors";
}

GenerateOptions options_in(const LatentsFile& file) {
  GenerateOptions options;
  apply_json(options, file.config, file.path.string());
  return options;
}

std::vector<std::string> events_in(const fs::path& sidecar) {
  return read_json(sidecar)["events"].get<std::vector<std::string>>();
}

// The plan event of a run.
json plan_of(const Outcome& outcome) {
  json event = json::parse(outcome.out.substr(0, outcome.out.find('\n')));
  EXPECT_EQ(event["event"], "plan");
  return event;
}

TEST(Resume, EndsInTheSameLatentsAsARunThatNothingInterrupted) {
  struct Case {
    std::string scheduler;
    int signal;
  };
  for (const Case& c : {Case{"ddim", SIGINT}, Case{"dpm", SIGKILL}}) {
    SCOPED_TRACE(c.scheduler);
    const TemporaryFolder folder;
    const auto run = [&](const std::string& name, const ProgramOptions& options) {
      return run_bitreel(
          quick_clip(folder / (name + ".mp4")) +
              std::vector<std::string>{"--steps", "200", "--progress", "json", "--scheduler", c.scheduler,
                                       "--attention", "int4", "--guard", "1", "--guard-bound", "1e-7", "--save-latents",
                                       folder / (name + ".safetensors")},
          options);
    };
    ASSERT_EQ(run("whole", {}).code, 0);
    const std::string unfinished = folder / "halves.unfinished.safetensors";
    ASSERT_NE(run("halves", {.file_size_limit = {}, .signal_after = step_event("denoise", 1), .signal = c.signal}).code,
              0);
    ASSERT_FALSE(fs::exists(folder / "halves.safetensors")) << "it was to be stopped before its end";
    const Outcome resumed = run_bitreel({"resume", unfinished});
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, ContainsRegex("taken up again after step [0-9]+ of 200"));
    const LatentsFile whole = read_latents(folder / "whole.safetensors");
    const LatentsFile halves = read_latents(folder / "halves.safetensors");
    EXPECT_TRUE(at::equal(whole.latents.at("latents"), halves.latents.at("latents")));
    EXPECT_EQ(whole.attention, halves.attention) << "what ran in each step, and why";
    std::vector<std::string> warned = events_in(folder / "halves.mp4.json");
    EXPECT_EQ(std::erase_if(warned, [](const std::string& event) { return event.starts_with("taken up again"); }), 1);
    EXPECT_EQ(warned, events_in(folder / "whole.mp4.json")) << "the guard's moves of both runs, each once";
    EXPECT_THAT(warned, Contains(HasSubstr("guard: ")));
    EXPECT_EQ(inspect_video(folder / "halves.mp4").frames, 17);
    EXPECT_FALSE(fs::exists(unfinished)) << "nothing is left to go on from";
  }
}

TEST(KeptWork, IsNotOverwrittenByTheSameCommand) {
  const TemporaryFolder folder;
  const std::string unfinished = interrupted_clip(folder, 900);
  const Outcome again = run_bitreel(quick_clip(folder / "clip.mp4"));
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.err, AllOf(HasSubstr(unfinished + " keeps the denoising so far"),
                               HasSubstr("bitreel resume " + unfinished), HasSubstr("--force")));
  EXPECT_THAT(again.err, Not(HasSubstr("[denoise]")));
  EXPECT_EQ(read_latents(unfinished).steps, 900) << "it is still there";
  const Outcome forced = run_bitreel(quick_clip(folder / "clip.mp4") + Arguments{"--steps", "1", "--force"});
  EXPECT_EQ(forced.code, 0) << forced.err;
  EXPECT_THAT(folder.names(), ElementsAre("clip.mp4", "clip.mp4.json"));
}

TEST(KeptWork, ThatIsDenoisedIsNotOverwrittenEither) {
  for (const std::string latents : {"clip.latents.safetensors", "mine.safetensors"}) {
    SCOPED_TRACE(latents);
    const TemporaryFolder folder;
    Arguments clip = quick_clip(folder / "clip.mkv") + in_bf16;
    if (latents.starts_with("mine")) clip = clip + Arguments{"--save-latents", folder / latents};
    ASSERT_EQ(run_bitreel(clip, {.file_size_limit = 6000}).code, 1) << "the disk is full for the video";
    const Outcome again = run_bitreel(clip);
    EXPECT_EQ(again.code, 2);
    EXPECT_THAT(again.err, HasSubstr("bitreel decode " + (folder / latents).string()));
    ASSERT_EQ(run_bitreel({"decode", folder / latents, "--output", folder / "clip.mkv"}).code, 0);
    fs::remove(folder / "clip.latents.safetensors");
    const Outcome complete = run_bitreel(clip);
    EXPECT_EQ(complete.code, 0) << "a complete clip and latents that were asked for are replaced: " << complete.err;
  }
}

TEST(Resume, RefusesLatentsThatAreFinished) {
  const TemporaryFolder folder;
  const std::string latents = folder / "clip.safetensors";
  ASSERT_EQ(run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--save-latents", latents}).code, 0);
  const Outcome outcome = run_bitreel({"resume", latents});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("holds no unfinished denoising"), HasSubstr("bitreel decode " + latents)));
}

TEST(Resume, ToAnotherOutputLeavesNothingUnfinishedEither) {
  const TemporaryFolder folder;
  const std::string unfinished = interrupted_clip(folder, 100);
  const Outcome resumed = run_bitreel({"resume", unfinished, "--output", folder / "other.mkv"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(folder.names(), ElementsAre("other.mkv", "other.mkv.json"));
}

TEST(Resume, InterruptedBeforeItsFirstStepNamesTheFileThatIsStillThere) {
  const TemporaryFolder folder;
  const std::string unfinished = interrupted_clip(folder, 900);
  const Outcome again =
      run_bitreel({"resume", unfinished, "--output", folder / "other.mkv"},
                  {.file_size_limit = {}, .signal_after = "taken up again after step", .signal = SIGINT});
  EXPECT_EQ(again.code, 128 + SIGINT) << again.err;
  EXPECT_THAT(again.err, AllOf(HasSubstr("bitreel resume " + unfinished), HasSubstr((folder / "other.mkv").string())));
  EXPECT_THAT(folder.names(), ElementsAre("clip.unfinished.safetensors"));
}

TEST(Resume, RefusesAFileWhoseRecordIsNotThatOfItsSteps) {
  const TemporaryFolder folder;
  const std::string unfinished = interrupted_clip(folder, 100);
  const auto steps_done = static_cast<std::size_t>(read_latents(unfinished).unfinished->steps_done);
  const std::vector<std::string> step = {"full", "full"};
  struct Case {
    nlohmann::ordered_json record;
    std::string message;
  };
  for (const auto& [record, message] :
       {Case{nullptr, "cannot be read"}, Case{{{"executed", {{"full", "int9"}}}}, "int9"},
        Case{{{"executed", std::vector(steps_done + 1, step)}},
             "tells what ran in " + std::to_string(steps_done + 1) + " steps, expected " +
                 std::to_string(steps_done)}}) {
    SCOPED_TRACE(message);
    const LatentsFile file = read_latents(unfinished);
    write_unfinished(unfinished, *file.unfinished, file.steps, options_in(file),
                     {.model = file.model, .attention = record});
    const Outcome outcome = run_bitreel({"resume", unfinished});
    EXPECT_NE(outcome.code, 0);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr(unfinished + ": the metadata's attention"), HasSubstr(message)));
    EXPECT_THAT(folder.names(), ElementsAre("clip.unfinished.safetensors"));
  }
}

// A copy of the tiny model, whose files may be changed.
fs::path copied_model(const TemporaryFolder& folder) {
  fs::copy(tiny_model, folder / "model", fs::copy_options::recursive);
  return folder / "model";
}

// The last value of the last tensor of each file, hardly.
void change_last_values(const fs::path& component) {
  for (const auto& entry : fs::directory_iterator(component)) {
    if (entry.path().extension() != ".safetensors") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x01');
  }
}

TEST(Resume, RefusesWeightsThatAreNotThoseThatBegan) {
  const TemporaryFolder folder;
  const fs::path model = copied_model(folder);
  const Outcome begun =
      run_bitreel({"generate", "--model", model, "--prompt", "a red circle", "--steps", "200", "--device", "cpu",
                   "--output", folder / "clip.mp4", "--progress", "json"},
                  {.file_size_limit = {}, .signal_after = step_event("denoise", 1), .signal = SIGINT});
  ASSERT_EQ(begun.code, 128 + SIGINT) << begun.err;
  const std::string unfinished = folder / "clip.unfinished.safetensors";
  change_last_values(model / "transformer");
  const Outcome resumed = run_bitreel({"resume", unfinished});
  EXPECT_EQ(resumed.code, 1);
  EXPECT_THAT(resumed.err,
              AllOf(HasSubstr(unfinished + ": its denoising began with other weights"), HasSubstr("transformer/")));
  EXPECT_TRUE(fs::exists(unfinished));
}

TEST(Decode, SaysThatAnotherDecoderIsThereThanWasWhenItsDenoisingBegan) {
  const TemporaryFolder folder;
  const fs::path model = copied_model(folder);
  const std::string latents = folder / "clip.safetensors";
  ASSERT_EQ(run_bitreel(quick_clip(folder / "clip.mp4") + Arguments{"--model", model, "--save-latents", latents}).code,
            0);
  const Outcome same = run_bitreel({"decode", latents});
  EXPECT_EQ(same.code, 0);
  EXPECT_THAT(same.err, Not(HasSubstr("warning")));
  change_last_values(model / "vae");
  const Outcome other = run_bitreel({"decode", latents});
  EXPECT_EQ(other.code, 0);
  EXPECT_THAT(other.err, HasSubstr(latents + ": vae/diffusion_pytorch_model.safetensors in " + model.string() +
                                   " is another than was there when its denoising began"));
}

// As version 0.1 wrote it: the scheduler's tensor without a prefix, no word of the weights, and a setting that is gone.
TEST(Resume, GoesOnFromAFileOfAnEarlierVersion) {
  const TemporaryFolder folder;
  const Arguments dpm = {"--steps", "100", "--scheduler", "dpm", "--progress", "json"};
  const Outcome begun =
      run_bitreel(quick_clip(folder / "clip.mp4") + dpm,
                  {.file_size_limit = {}, .signal_after = step_event("denoise", 3), .signal = SIGINT});
  ASSERT_EQ(begun.code, 128 + SIGINT) << begun.err;
  const std::string unfinished = folder / "clip.unfinished.safetensors";
  const LatentsFile file = read_latents(unfinished);
  nlohmann::ordered_json config = file.config;
  config["vae_slicing"] = false;
  write_safetensors(unfinished,
                    {{"latents", file.latents.at("latents")},
                     {"generator", file.unfinished->generator},
                     {"previous_original", file.unfinished->scheduler.at("previous_original")}},
                    {{"bitreel", "0.1.0"},
                     {"config", config.dump()},
                     {"attention", file.attention.dump()},
                     {"steps_done", std::to_string(file.unfinished->steps_done)},
                     {"steps", "100"}});
  const Outcome resumed = run_bitreel({"resume", unfinished, "--save-latents", folder / "resumed.safetensors"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  const Outcome whole =
      run_bitreel(quick_clip(folder / "whole.mp4") + dpm + Arguments{"--save-latents", folder / "whole.safetensors"});
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_TRUE(at::equal(read_latents(folder / "resumed.safetensors").latents.at("latents"),
                        read_latents(folder / "whole.safetensors").latents.at("latents")));
}

TEST(Resume, ForecastsTheStepsThatAreLeft) {
  const TemporaryFolder folder;
  const std::string unfinished = interrupted_clip(folder, 900);
  const LatentsFile file = read_latents(unfinished);
  DenoisingState nearly = *file.unfinished;
  nearly.steps_done = 899;
  write_unfinished(unfinished, nearly, file.steps, options_in(file),
                   {.attention = {{"executed", std::vector(899, std::vector<std::string>{"full", "full"})}}});
  const Outcome last = run_bitreel({"resume", unfinished, "--progress", "json"});
  ASSERT_EQ(last.code, 0) << last.err;
  const Outcome whole = run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--progress", "json"});
  const double of_one = plan_of(last)["expected_denoise_seconds"], of_two = plan_of(whole)["expected_denoise_seconds"];
  EXPECT_LT(of_one, 10 * of_two) << "of 900 steps one is left, the other clip has two";
}

}  // namespace
}  // namespace bitreel::test
