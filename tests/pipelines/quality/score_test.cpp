// What was asked beside what was seen: matching, counting, and the prompts file read strictly.
#include "pipelines/quality/score.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <string>
#include <utility>

#include "base/error.h"
#include "tests/files.h"
#include "tests/pipelines/quality/clips.h"
#include "tests/temporary_folder.h"

namespace bitreel::quality {
namespace {

SeenObject seen(const std::string& colour, const std::string& shape, const std::string& size,
                const std::string& motion) {
  SeenObject object;
  object.colour = colour, object.shape = shape, object.size = size, object.motion = motion;
  return object;
}

Judgement judgement(std::vector<SeenObject> objects, const std::string& background) {
  return {.background = background, .objects = std::move(objects), .flicker = 0};
}

Expectation two_objects() {
  return {.prompt = "a small red circle moves left and a blue star spins on white",
          .file = "",
          .objects = {{.colour = "red", .shape = "circle", .size = "small", .motion = "left"},
                      {.colour = "blue", .shape = "star", .size = "", .motion = "spin"}},
          .background = "white"};
}

TEST(Score, MatchesTwoObjectsInEitherOrder) {
  const ClipScore score =
      compare(two_objects(),
              judgement({seen("blue", "star", "medium", "spin"), seen("red", "circle", "small", "left")}, "white"));
  EXPECT_EQ(score.of(Attribute::everything).right, 1);
  EXPECT_EQ(score.of(Attribute::size).asked, 1);  // the star's size was left open
  EXPECT_EQ(score.matched[0].colour, "red");
}

TEST(Score, AnExchangeOfColoursIsWrong) {
  const ClipScore score =
      compare(two_objects(),
              judgement({seen("blue", "circle", "small", "left"), seen("red", "star", "small", "spin")}, "white"));
  EXPECT_EQ(score.of(Attribute::everything).right, 0);
  EXPECT_EQ(score.of(Attribute::colour).right, 0);
  EXPECT_EQ(score.of(Attribute::shape).right, 2);
}

TEST(Score, ASecondCopyOfAnObjectSpoilsTheClip) {
  Judgement doubled =
      judgement({seen("red", "circle", "small", "left"), seen("blue", "star", "small", "spin")}, "white");
  EXPECT_EQ(compare(two_objects(), doubled).of(Attribute::everything).right, 1);
  doubled.objects[1].stray = 0.9;
  EXPECT_EQ(compare(two_objects(), doubled).of(Attribute::everything).right, 0);
  EXPECT_EQ(compare(two_objects(), doubled).of(Attribute::shape).right, 2);
}

TEST(Score, WhatWasNotSeenIsWrong) {
  const ClipScore score = compare(two_objects(), judgement({seen("blue", "star", "small", "")}, ""));
  EXPECT_EQ(score.of(Attribute::colour).right, 1);
  EXPECT_EQ(score.of(Attribute::colour).asked, 2);
  EXPECT_EQ(score.of(Attribute::motion).right, 0);
  EXPECT_EQ(score.of(Attribute::background).right, 0);
}

TEST(Score, AnObjectThatNobodyAskedForSpoilsThePicture) {
  Expectation one = two_objects();
  one.objects.pop_back();
  Judgement seen_one = judgement({seen("red", "circle", "small", "left")}, "white");
  EXPECT_EQ(compare(one, seen_one).of(Attribute::everything).right, 1);
  seen_one.others = 1;
  EXPECT_EQ(compare(one, seen_one).of(Attribute::everything).right, 0);
  EXPECT_EQ(compare(one, seen_one).of(Attribute::colour).right, 1);
}

TEST(Score, TableKeepsOneAndTwoObjectsApart) {
  ScoreTable table;
  Expectation one = two_objects();
  one.objects.pop_back();
  table.add(compare(one, judgement({seen("red", "circle", "small", "up")}, "white")));
  table.add(compare(one, judgement({seen("red", "circle", "small", "left")}, "white")));
  EXPECT_EQ(table.of(1, Attribute::motion).percent(), 50);
  EXPECT_EQ(table.of(2, Attribute::motion).asked, 0);
  EXPECT_EQ(table.of(Attribute::motion).asked, 2);
  EXPECT_THAT(table.text(), testing::HasSubstr("50.0% (1/2)"));
  EXPECT_THAT(table.text(), testing::Not(testing::HasSubstr("two-object")));
}

TEST(Score, ReadsTheUnseenPrompts) {
  const std::vector<Expectation> asked = read_expectations("assets/prompts/unseen-100.json", domain());
  EXPECT_GE(asked.size(), 100U);
  EXPECT_EQ(read_expectations("assets/prompts/unseen-stills.json", domain()).size(), 130U);
}

TEST(Score, NamesMistakesInThePromptsFile) {
  const std::pair<std::string, std::string> mistakes[] = {
      {"{}", "is not a JSON list of prompts"},
      {"[", "is not a JSON list of prompts"},
      {R"([{"prompt": "x"}])", "entry 0: has no list of objects"},
      {R"([{"prompt": "x", "objects": []}])", "entry 0: has 0 objects, expected 1 or 2"},
      {R"([{"prompt": "x", "objects": [{"colour": "mauve", "shape": "ring", "motion": "up"}]}])",
       "entry 0, object 0: colour is \"mauve\""},
      {R"([{"prompt": "x", "objects": [{"colour": "red", "motion": "up"}]}])", "object 0: has no key shape"},
      {R"([{"prompt": "x", "objects": [{"colour": "red", "shape": "ring", "place": "up"}]}])", "place is \"up\""},
      {R"([{"prompt": "x", "objects": [{"colour": "red", "shape": "ring", "motion": 3}]}])", "motion is 3"},
      {R"([{"prompt": "x", "colour": "red", "objects": []}])", "unknown key colour"}};
  const test::TemporaryFolder folder;
  for (const auto& [text, message] : mistakes) {
    const std::filesystem::path file = test::write_text(folder / "prompts.json", text);
    EXPECT_THAT([&] { (void)read_expectations(file, domain()); },
                testing::ThrowsMessage<Error>(testing::HasSubstr(message)));
  }
  EXPECT_THROW((void)read_expectations(folder / "none.json", domain()), Error);
}

}  // namespace
}  // namespace bitreel::quality
