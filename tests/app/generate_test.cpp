// The way of a clip through the real program: what it writes, says and records.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/files/latents_file.h"
#include "base/json_file.h"
#include "pipelines/checkpoint/safetensors.h"
#include "pipelines/video/reader.h"
#include "tests/app/program.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string frames_of(const std::filesystem::path& file) {
  VideoReader video(file);
  std::string bytes;
  while (const auto frame = video.next()) {
    bytes.append(reinterpret_cast<const char*>(frame->rgb),
                 static_cast<std::size_t>(frame->width) * static_cast<std::size_t>(frame->height) * 3);
  }
  return bytes;
}

at::Tensor latents_of_clip(const std::vector<std::string>& flags) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mkv") + flags +
                                      std::vector<std::string>{"--save-latents", folder / "l.safetensors"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return read_latents(folder / "l.safetensors").latents.at("latents").clone();
}

TEST(Generate, WritesTheClipAndItsProvenanceAndNothingElse) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mp4") + in_bf16);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr("seed 7"));
  EXPECT_THAT(outcome.err, HasSubstr("[denoise] 2/2"));
  EXPECT_THAT(outcome.err, HasSubstr((folder / "clip.mp4").string()));
  EXPECT_THAT(folder.names(), ElementsAre("clip.mp4", "clip.mp4.json"));

  const VideoInfo video = inspect_video(folder / "clip.mp4");
  EXPECT_EQ(video.frames, 17);
  EXPECT_EQ(video.width, 48);
  EXPECT_EQ(video.height, 32);
  EXPECT_EQ(video.fps, 8);

  const json sidecar = read_json(folder / "clip.mp4.json");
  EXPECT_EQ(sidecar["config"]["seed"], 7);
  EXPECT_EQ(sidecar["config"]["prompt"], "a red circle");
  EXPECT_EQ(sidecar["config"]["guidance_scale"], 6.0);
  EXPECT_EQ(sidecar["config"]["dtype"], "bf16");
  EXPECT_EQ(sidecar["model"]["class"], "CogVideoXPipeline");
  EXPECT_EQ(sidecar["model"]["files"]["vae/diffusion_pytorch_model.safetensors"]["sha256"].get<std::string>().size(),
            64U);
  EXPECT_GT(sidecar["seconds"]["denoise"].get<double>(), 0);
  EXPECT_EQ(sidecar["bitreel_clip"], 1);
  EXPECT_EQ(sidecar["run"]["device"]["type"], "cpu");
  EXPECT_FALSE(sidecar["run"]["device"].contains("why_not_cuda")) << "the CPU was asked for";
  EXPECT_EQ(sidecar["run"]["elementwise"], "fused");
  EXPECT_GT(sidecar["peak_memory_bytes"], 0);
  EXPECT_FALSE(sidecar.contains("peak_device_memory_bytes"));
  const json comment = json::parse(video.comment);
  EXPECT_EQ(comment["config"], sidecar["config"]);
}

TEST(Generate, RecordsThePathsThatRanAndWhatOverruledThem) {
  const TemporaryFolder folder;
  setenv("BITREEL_UNUSED", "a value", 1);
  const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--dtype", "fp16"});
  unsetenv("BITREEL_UNUSED");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json sidecar = read_json(folder / "clip.mp4.json");
  EXPECT_EQ(sidecar["config"]["elementwise"], "fused");
  EXPECT_EQ(sidecar["run"]["elementwise"], "composed") << "there are no fused kernels for fp16";
  EXPECT_EQ(sidecar["run"]["environment"]["BITREEL_UNUSED"], "a value");
  EXPECT_THAT(read_text(folder / "clip.mp4.json"), HasSubstr("\n   [\"full\", \"full\"],\n"))
      << "a step's layers are one line";
}

TEST(Generate, RecordsWhyItChoseTheCpu) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--device", "auto"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json device = read_json(folder / "clip.mp4.json")["run"]["device"];
  EXPECT_EQ(device["type"] == "cpu", device.contains("why_not_cuda")) << device;
}

// A batch file for machines with and without a GPU says the same for both.
TEST(Generate, SaysThatOffloadChangesNothingOnACpu) {
  const TemporaryFolder folder;
  const Outcome outcome =
      run_bitreel(quick_clip(folder / "clip.mp4") + Strings{"--offload", "layers", "--gpu-memory-limit", "12"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("--offload changes nothing on a CPU"));
  const json sidecar = read_json(folder / "clip.mp4.json");
  EXPECT_EQ(sidecar["config"]["offload"], "layers") << "as it was asked for";
  EXPECT_EQ(sidecar["config"]["gpu_memory_limit"], 12);
  EXPECT_EQ(sidecar["run"]["offload"], "none") << "what ran";
  EXPECT_THAT(sidecar["events"].dump(), HasSubstr("--gpu-memory-limit changes nothing on a CPU"));
  EXPECT_EQ(sidecar["run"]["cuda_graphs"], "the device is a CPU");
}

TEST(Generate, StoresWeightsInEightBitsWhenAsked) {
  const TemporaryFolder folder;
  const Strings keep = {"--save-latents", folder / "clip.safetensors"};
  ASSERT_EQ(run_bitreel(quick_clip(folder / "clip.mp4") + keep).code, 0);
  const at::Tensor full = SafetensorsFile::open(folder / "clip.safetensors").tensor("latents").clone();
  const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mp4") + keep + Strings{"--weights", "fp8"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(read_json(folder / "clip.mp4.json")["config"]["weights"], "fp8");
  const at::Tensor eight = SafetensorsFile::open(folder / "clip.safetensors").tensor("latents");
  EXPECT_FALSE(at::equal(eight, full));
  const Outcome twice = run_bitreel(quick_clip(folder / "clip.mp4") + Strings{"--weights", "fp8", "--linear", "int8"});
  EXPECT_EQ(twice.code, 2);
  EXPECT_THAT(twice.err, HasSubstr("--weights fp8 means nothing beside it"));
}

TEST(Generate, LeavesProvenanceOutWhenAsked) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--no-metadata"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(folder.names(), ElementsAre("clip.mp4"));
  EXPECT_THAT(inspect_video(folder / "clip.mp4").comment, IsEmpty());
}

TEST(Generate, SpeaksJsonLinesToPrograms) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--progress", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, IsEmpty());
  std::vector<std::string> events;
  std::vector<int> denoised;
  int frames = 0;
  for (const std::string& line : lines_of(outcome.out)) {
    const json event = json::parse(line);
    if (event["event"] == "plan") {  // how right it is: forecast_test.cpp
      EXPECT_TRUE(event["expected_memory_bytes"].is_number_integer());
      EXPECT_TRUE(event["expected_denoise_seconds"].is_number_float());
    }
    if (event["event"] != "step") {
      events.push_back(event.value("phase", event["event"]));
    } else if (event["phase"] == "denoise") {
      denoised.push_back(event["step"]);
    } else {
      ++frames;
    }
  }
  EXPECT_THAT(events, ElementsAre("plan", "text", "denoise", "decode", "done"));
  EXPECT_THAT(denoised, ElementsAre(1, 2));
  EXPECT_EQ(frames, 17);
}

TEST(Generate, SaysAndRecordsTheSeedItDrew) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--seed", "-1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto seed = read_json(folder / "clip.mp4.json")["config"]["seed"].get<std::uint64_t>();
  EXPECT_THAT(outcome.err, HasSubstr("seed " + std::to_string(seed)));
  const Outcome other =
      run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--seed", "-1", "--print-config"});
  EXPECT_THAT(other.out, Not(HasSubstr("seed: " + std::to_string(seed) + "\n")));
}

TEST(PrintConfig, ReadsBackAsTheSameConfig) {
  const TemporaryFolder folder;
  const Outcome printed = run_bitreel(quick_clip(folder / "clip.mp4") +
                                      std::vector<std::string>{"--print-config", "--dynamic-cfg", "--crf", "30"});
  ASSERT_EQ(printed.code, 0) << printed.err;
  write_text(folder / "clip.yaml", printed.out);
  const Outcome again = run_bitreel({"generate", "--config", folder / "clip.yaml", "--print-config"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(again.out, printed.out);
  EXPECT_THAT(printed.out, HasSubstr("num_frames: 17\n"));
  EXPECT_THAT(printed.out, HasSubstr("dynamic_cfg: \"peer\"\n"));
  EXPECT_THAT(printed.out, HasSubstr("codec: \"h264\"\ncrf: 30\n"));
  EXPECT_THAT(folder.names(), ElementsAre("clip.yaml"));
}

TEST(PrintConfig, ShowsThatFlagsWin) {
  const TemporaryFolder folder;
  write_text(folder / "clip.yaml", "prompt: from the file\nsteps: 9\nvae_tiling: true\nmodel: " + tiny_model + "\n");
  const Outcome outcome =
      run_bitreel({"generate", "--steps", "4", "--no-vae-tiling", "--config", folder / "clip.yaml", "--print-config"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("prompt: \"from the file\"\n"));
  EXPECT_THAT(outcome.out, HasSubstr("steps: 4\n"));
  EXPECT_THAT(outcome.out, HasSubstr("vae_tiling: false\n"));
}

TEST(Generate, ChoosesTilingByFreeMemoryAndSaysSo) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mp4") + Strings{"--vae-tiling", "auto"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("--vae-tiling auto: decoding the whole picture takes about"));
  const json sidecar = read_json(folder / "clip.mp4.json");
  EXPECT_EQ(sidecar["config"]["vae_tiling"], "auto");
  EXPECT_THAT(sidecar["events"].dump(), HasSubstr("it is not tiled"));
  EXPECT_EQ(run_bitreel(quick_clip(folder / "other.mp4") + Strings{"--vae-tiling", "always"}).code, 2);
  // The word is the flag's, what follows a flag otherwise is not.
  const Strings keep = {"--save-latents", folder / "l.safetensors"};
  ASSERT_EQ(run_bitreel(quick_clip(folder / "clip.mp4") + keep).code, 0);
  const Outcome decoded =
      run_bitreel({"decode", "--vae-tiling", folder / "l.safetensors", "--output", folder / "tiled.mp4"});
  EXPECT_THAT(decoded.err, HasSubstr("VAE tiles of 16 pixels high"))
      << "the file was read; its model's tiles fit nothing";
}

TEST(Config, NamesTheCodecAndItsCrfWithoutBeingTold) {
  const TemporaryFolder folder;
  const std::vector<std::string> keep = {"--save-latents", folder / "clip.safetensors"};
  ASSERT_EQ(run_bitreel(quick_clip(folder / "clip.mp4") + keep).code, 0);
  const json config = read_json(folder / "clip.mp4.json")["config"];
  EXPECT_EQ(config["codec"], "h264");
  EXPECT_EQ(config["crf"], 20);
  ASSERT_EQ(run_bitreel(quick_clip(folder / "clip.mp4") + keep + std::vector<std::string>{"--crf", "30"}).code, 0);
  const auto decoded = [&](const std::string& name, const std::vector<std::string>& flags) {
    const Outcome outcome =
        run_bitreel(std::vector<std::string>{"decode", folder / "clip.safetensors", "--output", folder / name} + flags);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return read_json(folder / (name + ".json"))["config"];
  };
  EXPECT_EQ(decoded("lossless.mkv", {"--codec", "ffv1"}).value("crf", -1), -1) << "it has none";
  const json other = decoded("other.mp4", {"--codec", "vp9"});
  EXPECT_EQ(other["codec"], "vp9");
  EXPECT_EQ(other["crf"], 20) << "its own, not the recorded one of h264";
}

TEST(Latents, AreKeptWithTheirConfigAndDecodeToTheSameFrames) {
  const TemporaryFolder folder;
  const Outcome made = run_bitreel(quick_clip(folder / "clip.mkv") +
                                   std::vector<std::string>{"--save-latents", folder / "clip.safetensors"});
  ASSERT_EQ(made.code, 0) << made.err;
  const LatentsFile file = read_latents(folder / "clip.safetensors");
  EXPECT_EQ(file.latents.at("latents").sizes(), at::IntArrayRef({1, 5, 8, 4, 6}));
  EXPECT_EQ(file.config["seed"], 7);

  const Outcome decoded = run_bitreel({"decode", folder / "clip.safetensors", "--output", folder / "again.mkv"});
  ASSERT_EQ(decoded.code, 0) << decoded.err;
  EXPECT_EQ(frames_of(folder / "again.mkv"), frames_of(folder / "clip.mkv"));
  EXPECT_THAT(folder.names(),
              ElementsAre("again.mkv", "again.mkv.json", "clip.mkv", "clip.mkv.json", "clip.safetensors"));
}

TEST(Latents, SurviveAVideoThatCouldNotBeWritten) {
  const TemporaryFolder folder;
  const Outcome full = run_bitreel(quick_clip(folder / "clip.mkv") + in_bf16,
                                   {.file_size_limit = 6000, .signal_after = {}, .signal = 0});
  EXPECT_EQ(full.code, 1);
  EXPECT_THAT(full.err, HasSubstr("File too large"));
  EXPECT_THAT(full.err, HasSubstr("bitreel decode " + (folder / "clip.latents.safetensors").string()));
  EXPECT_THAT(folder.names(), ElementsAre("clip.latents.safetensors"));

  const Outcome decoded = run_bitreel({"decode", folder / "clip.latents.safetensors"});
  EXPECT_EQ(decoded.code, 0) << decoded.err;
  EXPECT_EQ(inspect_video(folder / "clip.mkv").frames, 17);
}

TEST(Latents, OfAnotherProgramClaimNoSeedOfOurs) {
  const TemporaryFolder folder;
  const SafetensorsFile peer = SafetensorsFile::open("tests/golden/cog2b/denoise.safetensors");
  write_safetensors(folder / "peer.safetensors", {{"latents", peer.tensor("final_latents")}}, {});
  const Outcome outcome = run_bitreel({"decode", folder / "peer.safetensors", "--model", tiny_model});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(folder.names(), ElementsAre("peer.mp4", "peer.mp4.json", "peer.safetensors"));
  const json config = read_json(folder / "peer.mp4.json")["config"];
  EXPECT_EQ(config["num_frames"], 17);
  for (const char* unknown : {"seed", "prompt", "negative_prompt", "steps", "guidance_scale", "scheduler"}) {
    EXPECT_FALSE(config.contains(unknown)) << unknown;
  }
}

TEST(Interrupt, DuringDenoisingKeepsHowFarItIs) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const TemporaryFolder folder;
    const Outcome outcome = run_bitreel(quick_clip(folder / "clip.mp4") + std::vector<std::string>{"--steps", "900"},
                                        {.file_size_limit = {}, .signal_after = "[denoise] 1/900", .signal = signal});
    EXPECT_EQ(outcome.code, 128 + signal);
    EXPECT_THAT(outcome.err, HasSubstr("bitreel: interrupted: the clip is not denoised to its end"));
    ASSERT_THAT(folder.names(), ElementsAre("clip.unfinished.safetensors"));
    const std::string latents = folder / "clip.unfinished.safetensors";
    EXPECT_THAT(outcome.err, HasSubstr("bitreel resume " + latents));
    EXPECT_THAT(outcome.err, HasSubstr("bitreel decode " + latents + " --output " + (folder / "clip.mp4").string()));

    const Outcome decoded = run_bitreel({"decode", latents});
    ASSERT_EQ(decoded.code, 0) << decoded.err;
    EXPECT_EQ(inspect_video(folder / "clip.mp4").frames, 17);
    EXPECT_THAT(read_json(folder / "clip.mp4.json")["events"],
                ElementsAre(MatchesRegex("these latents are those after step [0-9]+ of 900: the clip is unfinished")));
  }
}

TEST(Interrupt, DuringDecodingKeepsTheLatents) {
  const TemporaryFolder folder;
  const Outcome outcome =
      run_bitreel(quick_clip(folder / "clip.mp4") +
                      std::vector<std::string>{"--num-frames", "321", "--progress", "json", "--steps", "1"},
                  {.file_size_limit = {}, .signal_after = R"("phase":"decode","step":1,)", .signal = SIGINT});
  EXPECT_EQ(outcome.code, 128 + SIGINT);
  EXPECT_THAT(outcome.err, HasSubstr("no video was written"));
  EXPECT_THAT(outcome.out, HasSubstr(R"("event":"latents_kept")"));
  EXPECT_THAT(folder.names(), ElementsAre("clip.latents.safetensors"));
}

struct FlagCase {
  std::string flag;
  std::string value;
};

void PrintTo(const FlagCase& flag, std::ostream* stream) {
  *stream << flag.flag << ' ' << flag.value;
}

class Flag : public ::testing::TestWithParam<FlagCase> {};

TEST_P(Flag, ReachesTheModel) {
  static const at::Tensor plain = latents_of_clip({});
  const auto& [flag, value] = GetParam();
  const at::Tensor changed =
      latents_of_clip(value.empty() ? std::vector<std::string>{flag} : std::vector<std::string>{flag, value});
  EXPECT_FALSE(plain.sizes() == changed.sizes() && plain.to(at::kFloat).equal(changed.to(at::kFloat)));
}

INSTANTIATE_TEST_SUITE_P(All, Flag,
                         ::testing::Values(FlagCase{"--prompt", "a blue square"},
                                           FlagCase{"--negative-prompt", "blurry"}, FlagCase{"--width", "64"},
                                           FlagCase{"--height", "48"}, FlagCase{"--num-frames", "9"},
                                           FlagCase{"--steps", "3"}, FlagCase{"--guidance-scale", "1"},
                                           FlagCase{"--dynamic-cfg", ""}, FlagCase{"--dynamic-cfg", "ramp"},
                                           FlagCase{"--scheduler", "dpm"}, FlagCase{"--seed", "8"},
                                           FlagCase{"--dtype", "fp16"}, FlagCase{"--attention-backend", "reference"},
                                           FlagCase{"--model", "tests/golden/cog5b/model"}),
                         [](const auto& info) { return std::to_string(info.index); });

TEST(SameSeed, SameLatents) {
  EXPECT_TRUE(latents_of_clip({}).equal(latents_of_clip({})));
}

TEST(Info, TellsWhatAModelHolds) {
  const Outcome outcome = run_bitreel({"info", tiny_model});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("CogVideoXTransformer3DModel"));
  EXPECT_THAT(outcome.out, HasSubstr("48x32, 17 frames, 50 steps of ddim"));
  EXPECT_THAT(outcome.out, HasSubstr("226 text + 30 video tokens"));
}

TEST(Info, TellsWhatAVideoAndItsLatentsHold) {
  const TemporaryFolder folder;
  const Outcome made = run_bitreel(quick_clip(folder / "clip.mp4") + in_bf16 +
                                   std::vector<std::string>{"--save-latents", folder / "l.safetensors"});
  ASSERT_EQ(made.code, 0) << made.err;
  const Outcome video = run_bitreel({"info", folder / "clip.mp4"});
  EXPECT_THAT(video.out, HasSubstr("48x32, 17 frames at 8 fps"));
  EXPECT_THAT(video.out, HasSubstr("\"prompt\": \"a red circle\""));
  const Outcome latents = run_bitreel({"info", folder / "l.safetensors"});
  EXPECT_THAT(latents.out, HasSubstr("latents bf16 [1, 5, 8, 4, 6]"));
  EXPECT_THAT(latents.out, HasSubstr("\"seed\": 7"));
}

TEST(Help, IsThereForEveryCommand) {
  EXPECT_THAT(run_bitreel({"--help"}).out, HasSubstr("generate"));
  for (const char* command : {"generate", "decode", "info", "judge"}) {
    const Outcome outcome = run_bitreel({command, "--help"});
    EXPECT_EQ(outcome.code, 0) << command;
    EXPECT_THAT(outcome.out, HasSubstr("Usage: bitreel " + std::string(command)));
  }
  EXPECT_THAT(run_bitreel({"--version"}).out, HasSubstr("0.2"));
}

}  // namespace
}  // namespace bitreel::test
