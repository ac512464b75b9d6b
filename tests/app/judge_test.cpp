// bitreel judge, as a person runs it: what it says, what it writes, what it refuses.
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/json_file.h"
#include "pipelines/video/writer.h"
#include "tests/app/program.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string drawn = "tests/data/drawn/", stills = "tests/data/stills/";

// A clip of nothing but grey.
fs::path grey_clip(const fs::path& path, int side, int frames, const json& provenance = nullptr) {
  const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(side) * side * 3, 128);
  VideoWriter video(path, {.fps = 8, .codec = {}, .crf = {}}, side, side, provenance);
  for (int i = 0; i < frames; ++i) video.push({.rgb = pixels.data(), .width = side, .height = side});
  video.finish();
  return path;
}

TEST(JudgeCommand, SaysWhatItSees) {
  const Outcome outcome = run_bitreel({"judge", drawn + "single-00.mp4"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("single-00.mp4: medium cyan circle left on gray"));
}

TEST(JudgeCommand, ScoresClipsByTheirNamesInThePromptsFile) {
  const TemporaryFolder folder;
  const fs::path scores = folder / "scores.json", sheet = folder / "sheet.png";
  const Outcome outcome = run_bitreel({"judge", drawn + "pair-01.mp4", drawn + "single-12.mp4", "--prompts",
                                       drawn + "labels.json", "--output", scores, "--sheet", sheet});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("one-object prompts"), HasSubstr("100.0% (1/1)"), HasSubstr("100.0% (2/2)")));
  const json written = read_json(scores);
  EXPECT_EQ(written["one_object"]["shape"]["percent"], 100);
  EXPECT_EQ(written["two_objects"]["motion"]["right"], 2);
  EXPECT_EQ(written["clips"].size(), 2U);
  EXPECT_GT(fs::file_size(sheet), 1000U);
}

TEST(JudgeCommand, MarksAClipThatIsNotWhatWasAsked) {
  const TemporaryFolder folder;
  const fs::path prompts = write_text(folder / "prompts.json", R"([{"prompt": "a red star spins on black",
      "objects": [{"colour": "red", "shape": "star", "motion": "spin"}], "background": "black"}])");
  const Outcome outcome = run_bitreel({"judge", drawn + "single-00.mp4", "--prompts", prompts});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("(wrong)"), HasSubstr("0.0% (0/1)")));
}

TEST(JudgeCommand, ReadsStillsAndScoresThem) {
  const TemporaryFolder folder;
  const fs::path scores = folder / "scores.json", sheet = folder / "sheet.png";
  const Outcome outcome =
      run_bitreel({"judge", stills + "003.png", stills + "018.png", "--prompts", stills + "labels.json", "--output",
                   scores, "--sheet", sheet, "--at-least", "all=100,one.place=100", "--at-least", "two.shape=100"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("003.png: small purple star left on white"));
  const json written = read_json(scores);
  EXPECT_EQ(written["one_object"]["place"]["percent"], 100);
  EXPECT_EQ(written["one_object"]["motion"]["asked"], 0);
  EXPECT_EQ(written["clips"][0]["seen"]["objects"][0]["place"], "left");
  EXPECT_GT(fs::file_size(sheet), 1000U);
}

TEST(JudgeCommand, ReadsCaptionsAndScoresThem) {
  const TemporaryFolder folder;
  const std::string right = write_text(folder / "000.txt", "A tiny violet star at the left on white.\n");
  const std::string wrong = write_text(folder / "001.txt", "a red star\n");
  const fs::path prompts = write_text(folder / "prompts.json", R"([
      {"prompt": "x", "objects": [{"colour": "purple", "shape": "star", "size": "small", "place": "left"}],
       "background": "white"},
      {"prompt": "y", "objects": [{"colour": "blue", "shape": "star"}]}])");
  const Outcome outcome = run_bitreel({"judge", right, wrong, "--prompts", prompts, "--at-least", "colour=60"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("000.txt: small purple star left on white"), HasSubstr("001.txt (wrong)")));
  EXPECT_THAT(outcome.err, HasSubstr("colour is 50.0 % (1 of 2), asked was 60 %"));
}

TEST(JudgeCommand, HoldsPicturesAgainstTheirOwnCaptions) {
  const TemporaryFolder folder;
  const std::string agreeing = folder / "a.png", other = folder / "b.png";
  for (const auto& picture : {agreeing, other}) fs::copy_file(stills + "003.png", picture);
  write_text(folder / "a.txt", "a purple star on a white background");
  write_text(folder / "b.txt", "a purple star on the right on a white background");
  const Outcome outcome = run_bitreel({"judge", agreeing, other, "--own-captions", "--at-least", "all=50"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("a.png: small purple star"), HasSubstr("b.png (wrong)")));
}

TEST(JudgeCommand, NoticesAPictureOfAnotherPrompt) {
  const TemporaryFolder folder;
  const std::string picture = folder / "000.png";
  fs::copy_file(stills + "003.png", picture);
  write_text(folder / "000.png.json", R"({"config": {"prompt": "a blue ring"}})");
  const fs::path asked = write_text(folder / "asked.json", R"([{"prompt": "a red star",
      "objects": [{"colour": "red", "shape": "star"}]}])");
  EXPECT_THAT(run_bitreel({"judge", picture, "--prompts", asked}).err, HasSubstr(R"(was made from "a blue ring")"));
}

struct Refusal {
  std::vector<std::string> arguments;
  int code;
  std::string text;
};

TEST(JudgeCommand, RefusesWhatItCannotJudge) {
  const TemporaryFolder folder;
  const std::string clip = drawn + "single-00.mp4", labels = drawn + "labels.json";
  const std::string small = grey_clip(folder / "small.mp4", 64, 25), brief = grey_clip(folder / "brief.mp4", 128, 9);
  const std::string other = grey_clip(folder / "other-000.mp4", 128, 25, {{"config", {{"prompt", "a blue ring"}}}});
  const std::string noise = write_text(folder / "noise.mp4", "this is no video");
  const std::string one_prompt = write_text(folder / "one.json", R"([{"prompt": "a red star spins",
      "objects": [{"colour": "red", "shape": "star", "motion": "spin"}]}])");
  const std::vector<Refusal> refusals{
      {{}, 2, "clips"},
      {{clip, "--objects", "3"}, 2, "--objects"},
      {{clip, "--objects", "2", "--prompts", labels}, 2, "--objects"},
      {{"no-such.mp4"}, 1, "no-such.mp4"},
      {{noise}, 1, "noise.mp4"},
      {{small}, 1, "small.mp4 is 64x64, the judge reads 128x128"},
      {{brief}, 1, "brief.mp4 has 9 frames, the judge reads 25"},
      {{other, "--prompts", one_prompt}, 1, R"(other-000.mp4 was made from "a blue ring")"},
      {{small, "--prompts", labels}, 1, "small.mp4 has no entry"},
      {{drawn + "single-07.mp4", "--prompts", one_prompt}, 1, "single-07.mp4 has no entry among the 1 prompts"},
      {{clip, drawn + "pair-00.mp4", "--prompts", one_prompt}, 1, "are both entry 0"},
      {{clip, "--prompts", noise}, 1, "noise.mp4: is not a JSON list of prompts"},
      {{clip, "--domain", labels}, 1, "labels.json: is not a JSON object"},
      {{clip, stills + "003.png"}, 2, "are not of one kind"},
      {{write_text(folder / "empty.txt", " \n")}, 1, "empty.txt holds no caption"},
      {{write_text(folder / "words.txt", "a star"), "--sheet", folder / "sheet.png"}, 2, "--sheet shows clips"},
      {{clip, "--own-captions"}, 2, "--own-captions takes pictures"},
      {{stills + "003.png", "--own-captions"}, 1, "003.txt"},
      {{clip, "--at-least", "all=9"}, 2, "--at-least needs a score"},
      {{clip, "--prompts", labels, "--at-least", "three.all=9"}, 2, "--at-least three.all=9: expected"},
      {{clip, "--prompts", labels, "--at-least", "all=101"}, 2, "--at-least all=101: expected"},
      {{clip, "--output", "/no/such/folder/s.json"}, 1, "folder /no/such/folder does not exist"}};
  for (const Refusal& refusal : refusals) {
    const fs::path output = folder / "scores.json";
    std::vector<std::string> arguments = std::vector<std::string>{"judge"} + refusal.arguments;
    if (refusal.text.find("/no/such") == std::string::npos)
      arguments = arguments + std::vector<std::string>{"--output", output};
    const Outcome outcome = run_bitreel(arguments);
    EXPECT_EQ(outcome.code, refusal.code) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("bitreel: "), HasSubstr(refusal.text)));
    EXPECT_FALSE(fs::exists(output)) << refusal.text;
  }
}

}  // namespace
}  // namespace bitreel::test
