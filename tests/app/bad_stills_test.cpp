// Bad input for pictures and texts: one clear error, the right exit code, nothing at the output's name; and odd but
// good pictures, which are read.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>

#include "base/json_file.h"
#include "pipelines/checkpoint/safetensors.h"
#include "tests/app/program.h"
#include "tests/app/refusals.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

const std::string pictures = "tests/golden/unidiffuser_pictures/files/";

Strings still(const fs::path& model, const TemporaryFolder& folder, const Strings& more) {
  return Strings{"generate", "--model", model.string(), "--steps", "1",        "--seed",      "1",
                 "--dtype",  "fp32",    "--device",     "cpu",     "--output", folder / "out"} +
         more;
}

struct StillCase {
  std::string name;
  Strings arguments;
  Strings texts;
};

void PrintTo(const StillCase& command, std::ostream* stream) {
  *stream << command.name;
}

class StillCommand : public ::testing::TestWithParam<StillCase> {};

TEST_P(StillCommand, IsRefusedBeforeAnyWork) {
  const TemporaryFolder folder;
  expect_refusal(run_bitreel(still(tiny_joint, folder, GetParam().arguments)), 2, GetParam().texts);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

INSTANTIATE_TEST_SUITE_P(
    BadStills, StillCommand,
    ::testing::Values(
        StillCase{
            "PromptIsMissing", {"--mode", "t2i"}, {"mode t2i takes a prompt, and there is none", "give --prompt"}},
        StillCase{"PictureIsMissing", {"--mode", "i2t"}, {"mode i2t takes a picture, and there is none", "--image"}},
        StillCase{"PictureOfAVariationIsMissing",
                  {"--mode", "image-variation", "--prompt", "a"},
                  {"mode image-variation takes a picture"}},
        StillCase{"PromptIsSuperfluous",
                  {"--mode", "joint", "--prompt", "a"},
                  {"mode joint takes no prompt", "leave out --prompt, or choose --mode t2i"}},
        StillCase{"PictureIsSuperfluous",
                  {"--mode", "image", "--image", pictures + "plain.png"},
                  {"mode image takes no picture", "leave out --image, or choose --mode i2t"}},
        StillCase{"Both", {"--prompt", "a", "--image", pictures + "plain.png"}, {"mode t2i takes no picture"}},
        StillCase{"UnknownMode",
                  {"--mode", "text-varation", "--prompt", "a"},
                  {"--mode is \"text-varation\"", "did you mean text-variation?"}},
        StillCase{"VideoSetting", {"--num-frames", "9"}, {"--num-frames means nothing to a UniDiffuserPipeline"}},
        StillCase{"NegativePrompt", {"--negative-prompt", "x"}, {"--negative-prompt means nothing"}},
        StillCase{
            "Scheduler", {"--scheduler", "ddim"}, {"--scheduler ddim: a UniDiffuserPipeline runs with dpm-multistep"}},
        StillCase{"Size", {"--width", "100"}, {"--width 100: this model's position table is for", "leave out"}},
        StillCase{
            "PicturesOfAText", {"--mode", "text", "--num-images", "2"}, {"--num-images means nothing to mode text"}},
        StillCase{"TextsOfAPicture", {"--mode", "image", "--num-prompts", "2"}, {"--num-prompts means nothing"}},
        StillCase{"UnevenPairs", {"--num-images", "2", "--num-prompts", "3"}, {"mode joint makes pairs"}},
        StillCase{"TooMany", {"--num-images", "65"}, {"65 samples from one run: expected 1 to 64"}},
        StillCase{"VideoName", {"--output", "out.mp4"}, {"\".mp4\" is no kind of picture that is written", ".png"}},
        StillCase{"PictureNameForAText", {"--mode", "text", "--output", "out.png"}, {"mode text makes a text", ".txt"}},
        StillCase{"FolderName", {"--output", "out/"}, {"--output out/: is a folder, and mode joint makes files"}},
        StillCase{
            "NoSuchPicture", {"--image", "no.png"}, {"no.png: cannot be read: No such file", "expected a picture"}},
        StillCase{
            "FolderForAPicture", {"--image", "tests"}, {"tests: cannot be read: it is a folder, expected a picture"}},
        StillCase{"EmptyPicture", {"--image", pictures + "empty.png"}, {"the file is empty"}},
        StillCase{"NoPicture", {"--image", pictures + "not-a-picture.png"}, {"damaged"}},
        StillCase{"Gif", {"--image", pictures + "animated.gif"}, {"a GIF or an animation"}},
        StillCase{"AnimatedPng", {"--image", pictures + "animated.png"}, {"a GIF or an animation"}},
        StillCase{"AnimatedWebp", {"--image", pictures + "animated.webp"}, {"a GIF or an animation"}}),
    [](const auto& info) { return info.param.name; });

TEST(BadStills, AreNotWhatVideosAreComparedOrPlansCalibratedBy) {
  const TemporaryFolder folder;
  const std::string picture = pictures + "plain.png";
  expect_refusal(run_bitreel({"compare", picture, picture, "--output", folder.path().string()}), 2,
                 {"compare takes videos, and " + picture + " is a picture", "bitreel judge"});
  for (const char* mode : {"i2t", "joint"}) {
    expect_refusal(run_bitreel({"calibrate", "--model", tiny_joint, "--mode", mode, "--prompts",
                                "assets/prompts/unseen-stills.json", "--output", folder / "measured.json"}),
                   2, {fmt::format("mode {} takes none", mode), "a plan serves every mode"});
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(BadStills, OfAVideoModelAreRefused) {
  const TemporaryFolder folder;
  const auto refusal = [&](const Strings& more) { return run_bitreel(quick_clip(folder / "clip.mp4") + more); };
  expect_refusal(refusal({"--image", pictures + "plain.png"}), 2, {"mode text-to-video takes no picture"});
  expect_refusal(refusal({"--num-images", "2"}), 2, {"--num-images means nothing to mode text-to-video"});
  expect_refusal(refusal({"--mode", "t2i"}), 2, {"--mode is \"t2i\", expected text-to-video"});
  expect_refusal(refusal({"--scheduler", "dpm-multistep"}), 2, {"runs with ddim or dpm"});
}

TEST(BadStills, ThatAreNoFilesAreNotWaitedFor) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "in.png").c_str(), 0600), 0);
  expect_refusal(run_bitreel(still(tiny_joint, folder, {"--image", folder / "in.png"})), 2,
                 {"in.png: cannot be read: it is a FIFO"});
}

TEST(BadStills, ThatAreHugeAreRefusedAndTinyOnesRead) {
  const TemporaryFolder folder;
  const auto read = [&](int width, int height) {
    cv::imwrite(folder / "in.png", cv::Mat(height, width, CV_8UC3, cv::Scalar(10, 200, 30)));
    return run_bitreel(still(tiny_joint, folder, {"--image", folder / "in.png"}));
  };
  expect_refusal(read(40'000, 2), 2, {"40000x2 pixels, expected at most 32768 a side", "at most 32768 pixels a side"});
  expect_refusal(read(1'000, 2), 2, {"1000x2 pixels, expected a longer side of at most 64 times the shorter one"});
  EXPECT_FALSE(fs::exists(folder / "out.txt"));
  const Outcome one = read(1, 1);
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_TRUE(fs::exists(folder / "out.txt"));
}

TEST(OddPictures, AreReadAsTheyLook) {
  for (const char* name : {"sixteen.png", "cmyk.jpg", "palette.png", "alpha.png", "grey.png", "turned.jpg"}) {
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    const Outcome outcome = run_bitreel(still(tiny_joint, folder, {"--image", pictures + name}));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_TRUE(fs::exists(folder / "out.txt"));
  }
}

// Folders.

class ChangedModel {
 public:
  ChangedModel() {
    fs::copy(tiny_joint, path(), fs::copy_options::recursive);
    fs::permissions(path(), fs::perms::owner_all);
  }
  [[nodiscard]] fs::path path() const { return folder_ / "model"; }
  void set(const std::string& file, const json& value) const { write_text(path() / file, value.dump()); }
  [[nodiscard]] json get(const std::string& file) const { return read_json(path() / file); }
  [[nodiscard]] Outcome run(const Strings& more) const { return run_bitreel(still(path(), out_, more)); }
  [[nodiscard]] fs::path out() const { return out_.path(); }

 private:
  TemporaryFolder folder_, out_;
};

TEST(BadJointFolders, ThatAreHalfAVideoModelSaySo) {
  const ChangedModel model;
  json index = model.get("model_index.json");
  index["vae"][1] = "AutoencoderKLCogVideoX";
  model.set("model_index.json", index);
  expect_refusal(model.run({}), 1, {"vae is a AutoencoderKLCogVideoX, expected AutoencoderKL"});
  index["_class_name"] = "CogVideoXPipeline";
  model.set("model_index.json", index);
  expect_refusal(model.run({"--prompt", "a", "--output", "out.mp4"}), 1, {"model_index.json names no transformer"});
  index["_class_name"] = "StableDiffusionPipeline";
  model.set("model_index.json", index);
  expect_refusal(model.run({}), 1, {"StableDiffusionPipeline, expected CogVideoXPipeline or UniDiffuserPipeline"});
  EXPECT_TRUE(fs::is_empty(model.out()));
}

TEST(BadJointFolders, WhoseVocabularyLacksBytesSayWhich) {
  const ChangedModel model;
  json words = model.get("clip_tokenizer/vocab.json");
  words.erase("a</w>");
  model.set("clip_tokenizer/vocab.json", words);
  expect_refusal(model.run({"--prompt", "x"}), 1, {"vocab.json: the vocabulary lacks 1 of the 256 bytes, 0x61 first"});
}

TEST(BadJointFolders, OfPicklesNameTheCommandThatConvertsThem) {
  const ChangedModel model;
  fs::rename(model.path() / "vae/diffusion_pytorch_model.safetensors",
             model.path() / "vae/diffusion_pytorch_model.bin");
  expect_refusal(model.run({}), 1,
                 {"no safetensors file", "diffusion_pytorch_model.bin is a pickle", "weights_only=True", "save_file"});
  const TemporaryFolder originals;
  write_text(originals / "uvit_v1.pth", "x");
  const TemporaryFolder out;
  expect_refusal(run_bitreel(still(originals.path(), out, {})), 1,
                 {"holds no model_index.json", "convert_unidiffuser_to_diffusers.py"});
}

TEST(CaptionsThatNeverStop, AreCutAndItIsSaid) {
  const ChangedModel model;
  const fs::path file = model.path() / "text_decoder/diffusion_pytorch_model.safetensors";
  std::map<std::string, at::Tensor> tensors;
  {
    const SafetensorsFile weights = SafetensorsFile::open(file);
    for (const auto& [name, info] : weights.tensors()) tensors[name] = weights.tensor(name).clone();
  }
  // All tokens are as likely then, and the first one wins.
  for (const char* name : {"weight", "bias"}) tensors.at(std::string("transformer.transformer.ln_f.") + name).zero_();
  write_safetensors(file, tensors, {});
  const Outcome outcome = model.run({"--mode", "text"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("the caption did not stop by itself: cut after 67 tokens"));
  const json sidecar = read_json(model.out() / "out.txt.json");
  EXPECT_THAT(sidecar["events"].dump(), HasSubstr("did not stop"));
}

}  // namespace
}  // namespace bitreel::test
