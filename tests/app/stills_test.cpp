// Pictures and texts through the real program, on a tiny random UniDiffuser: what it writes, says and records in every
// mode, and that the numbers are those of the goldens.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "app/files/latents_file.h"
#include "base/json_file.h"
#include "pipelines/image/picture.h"
#include "tests/app/program.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

const std::string a_picture = "tests/golden/unidiffuser_pictures/files/plain.png";

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

// Two steps in fp32 into `output`.
Strings quick_still(const fs::path& output, const Strings& more = {}) {
  return Strings{"generate", "--model", tiny_joint, "--steps", "2",        "--seed",       "7",
                 "--dtype",  "fp32",    "--device", "cpu",     "--output", output.string()} +
         more;
}

struct ModeCase {
  std::string mode;
  Strings inputs;
  std::set<std::string> files;
  Strings latents;
};

void PrintTo(const ModeCase& mode, std::ostream* stream) {
  *stream << mode.mode;
}

class EveryMode : public ::testing::TestWithParam<ModeCase> {};

TEST_P(EveryMode, WritesWhatItMakesAndItsSidecarAndNothingElse) {
  const TemporaryFolder folder;
  const ModeCase& mode = GetParam();
  const Outcome outcome = run_bitreel(quick_still(
      folder / "out", Strings{"--mode", mode.mode, "--save-latents", folder / "l.safetensors"} + mode.inputs));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::set<std::string> expected = mode.files;
  expected.insert("l.safetensors");
  EXPECT_EQ(names_in(folder.path()), expected);
  const LatentsFile kept = read_latents(folder / "l.safetensors");
  Strings names;
  for (const auto& [name, tensor] : kept.latents) names.push_back(name);
  EXPECT_EQ(names, mode.latents);

  const bool is_picture = expected.contains("out.png");
  const json sidecar = read_json(folder / (is_picture ? "out.png.json" : "out.txt.json"));
  EXPECT_EQ(sidecar["config"]["mode"], mode.mode);
  EXPECT_EQ(sidecar["model"]["class"], "UniDiffuserPipeline");
  EXPECT_FALSE(sidecar["config"].contains("num_frames"));
  EXPECT_EQ(sidecar["attention"]["executed"].size(), mode.mode.ends_with("variation") ? 4 : 2);
  if (is_picture) {
    const Picture picture = read_picture(folder / "out.png");
    EXPECT_EQ(picture.width, sidecar["config"]["width"].get<std::int64_t>());
  }
  if (expected.contains("out.txt")) {
    EXPECT_EQ(read_text(folder / "out.txt"), sidecar["texts"][0].get<std::string>() + "\n");
  }

  // The latents decode to the same files, the input no longer being needed.
  const Outcome decoded = run_bitreel({"decode", folder / "l.safetensors", "--output", folder / "again"});
  ASSERT_EQ(decoded.code, 0) << decoded.err;
  for (const std::string& file : mode.files) {
    if (file.ends_with(".json")) continue;
    EXPECT_EQ(read_text(folder / ("again" + file.substr(3))), read_text(folder / file)) << file;
  }
}

TEST_P(EveryMode, GoesOnAfterAKillToTheSameBits) {
  const TemporaryFolder folder;
  const ModeCase& mode = GetParam();
  const Strings more = Strings{"--mode", mode.mode, "--steps", "120", "--progress", "json"} + mode.inputs;
  const auto flags = [&](const std::string& name) {
    return quick_still(folder / name, more + Strings{"--save-latents", folder / (name + ".safetensors")});
  };
  ASSERT_EQ(run_bitreel(flags("whole")).code, 0);
  // A variation in its second half, where what the first one made is needed.
  const int step = mode.mode.ends_with("variation") ? 121 : 1;
  const Outcome killed = run_bitreel(
      flags("killed"), {.file_size_limit = {}, .signal_after = step_event("denoise", step), .signal = SIGINT});
  ASSERT_EQ(killed.code, 128 + SIGINT) << killed.err;
  const Outcome resumed = run_bitreel({"resume", folder / "killed.unfinished.safetensors"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("taken up again after step"));
  const LatentsFile whole = read_latents(folder / "whole.safetensors"),
                    rest = read_latents(folder / "killed.safetensors");
  for (const auto& [name, latents] : whole.latents) EXPECT_TRUE(at::equal(rest.latents.at(name), latents)) << name;
  EXPECT_FALSE(fs::exists(folder / "killed.unfinished.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(
    Stills, EveryMode,
    ::testing::Values(ModeCase{"t2i",
                               {"--prompt", "a red circle"},
                               {"out.png", "out.png.json"},
                               {"image_clip_latents", "image_vae_latents"}},
                      ModeCase{"i2t", {"--image", a_picture}, {"out.txt", "out.txt.json"}, {"text_latents"}},
                      ModeCase{"joint",
                               {},
                               {"out.png", "out.png.json", "out.txt"},
                               {"image_clip_latents", "image_vae_latents", "text_latents"}},
                      ModeCase{"image", {}, {"out.png", "out.png.json"}, {"image_clip_latents", "image_vae_latents"}},
                      ModeCase{"text", {}, {"out.txt", "out.txt.json"}, {"text_latents"}},
                      ModeCase{"image-variation",
                               {"--image", a_picture},
                               {"out.png", "out.png.json"},
                               {"image_clip_latents", "image_vae_latents", "text_latents"}},
                      ModeCase{"text-variation",
                               {"--prompt", "a red circle"},
                               {"out.txt", "out.txt.json"},
                               {"image_clip_latents", "image_vae_latents", "text_latents"}}),
    [](const auto& info) {
      std::string name = info.param.mode;
      std::erase(name, '-');
      return name;
    });

TEST(Stills, HaveThePeersLatents) {
  const TemporaryFolder folder;
  const Golden golden("unidiffuser");
  for (const char* name : {"t2i", "joint", "text"}) {
    SCOPED_TRACE(name);
    const std::string latents_file = folder / (std::string(name) + ".safetensors");
    const json wanted = golden.json()["requests"][name];
    Strings flags = {"generate",
                     "--model",
                     tiny_joint,
                     "--dtype",
                     "fp32",
                     "--device",
                     "cpu",
                     "--mode",
                     name,
                     "--steps",
                     wanted["steps"].dump(),
                     "--seed",
                     wanted["seed"].dump(),
                     "--guidance-scale",
                     wanted["guidance_scale"].dump(),
                     "--output",
                     folder / name,
                     "--save-latents",
                     latents_file};
    if (wanted.contains("prompt")) flags = flags + Strings{"--prompt", wanted["prompt"]};
    const Outcome outcome = run_bitreel(flags);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    for (const auto& [part, latents] : read_latents(latents_file).latents)
      golden.expect(latents, name, part, tolerance::latents);
    if (!wanted.contains("text")) continue;
    const std::string file = std::string(name) + (wanted["mode"] == "text" ? ".txt.json" : ".png.json");
    EXPECT_EQ(read_json(folder / file)["texts"], wanted["text"]);
  }
}

TEST(Stills, SayWhichModeWasInferred) {
  const TemporaryFolder folder;
  const auto said = [&](const Strings& inputs) { return run_bitreel(quick_still(folder / "out", inputs)).err; };
  EXPECT_THAT(said({"--prompt", "a"}), HasSubstr("mode     t2i (inferred): 1 picture of"));
  EXPECT_THAT(said({"--prompt", ""}), HasSubstr("t2i (inferred)"));
  EXPECT_THAT(said({"--image", a_picture}), HasSubstr("mode     i2t (inferred): 1 text, seed 7"));
  EXPECT_THAT(said({}), HasSubstr("mode     joint (inferred): 1 picture of 32x32, 1 text, seed 7"));
  EXPECT_THAT(said({"--mode", "image"}), HasSubstr("mode     image: 1 picture"));
}

TEST(Stills, AreNumberedWhenThereAreSeveral) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_still(folder / "out.webp", {"--mode", "joint", "--num-images", "2"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(names_in(folder.path()),
            (std::set<std::string>{"out-1.webp", "out-1.txt", "out-2.webp", "out-2.txt", "out.webp.json"}));
  EXPECT_NE(read_text(folder / "out-1.webp"), read_text(folder / "out-2.webp"));
}

TEST(Stills, FollowAPlanWithAGuardInEveryHalf) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_still(
      folder / "out.png", {"--mode", "image-variation", "--image", a_picture, "--attention",
                           "first:1=full,layers:0=int8,rest=int4", "--guard", "1", "--guard-bound", "0.0001"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json attention = read_json(folder / "out.png.json")["attention"];
  ASSERT_EQ(attention["executed"].size(), 4U);
  EXPECT_EQ(attention["executed"][0][0], "full");
  EXPECT_EQ(attention["executed"][1][0], "int8");
  EXPECT_EQ(attention["executed"][2][0], "full");  // the second half begins like the first
  EXPECT_EQ(attention["executed"][3][0], "full");  // the guard's doing
  EXPECT_FALSE(attention["guard"].empty());
}

}  // namespace
}  // namespace bitreel::test
