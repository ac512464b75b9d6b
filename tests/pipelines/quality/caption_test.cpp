// Captions in the recipes' grammar, well formed and not, against what they say and against pictures.
#include "pipelines/quality/caption.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "tests/pipelines/quality/clips.h"

namespace bitreel::quality {
namespace {

Judgement said(const std::string& text) {
  return read_caption(text, domain());
}

// "violet ring", "small red circle on left", ...: what is said of each object, in order.
std::vector<std::string> objects_of(const Judgement& judgement) {
  std::vector<std::string> all;
  for (const SeenObject& o : judgement.objects) {
    std::string& text = all.emplace_back();
    for (const std::string& name : {o.size, o.colour, o.shape, o.motion, o.place})
      if (!name.empty()) text += (text.empty() ? "" : " ") + name;
  }
  return all;
}

TEST(Caption, SaysWhatItsOwnPromptsFileSays) {
  for (const char* file : {"assets/prompts/unseen-stills.json", "assets/prompts/unseen-pictures.json",
                           "assets/prompts/unseen-100.json", "tests/data/stills/labels.json"})
    for (const Expectation& entry : read_expectations(file, domain())) {
      const Judgement judgement = said(entry.prompt);
      ASSERT_EQ(judgement.objects.size(), entry.objects.size()) << entry.prompt;
      EXPECT_EQ(judgement.background, entry.background) << entry.prompt;
      EXPECT_EQ(compare(entry, judgement).of(Attribute::everything).right, 1) << entry.prompt;
      EXPECT_EQ(compare_caption(entry, judgement).of(Attribute::everything).right, 1) << entry.prompt;
    }
}

TEST(Caption, IsReadWithEveryWordOfTheWorld) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases{
      {"A tiny VIOLET plus sign, on the upper side.", {"small purple cross top"}},
      {"a medium-sized turquoise hoop in the bottom left corner", {"medium cyan ring bottom left"}},
      {"the ball and a big box on navy blue", {"circle", "large square"}},
      {"a red star falls and bounces back, a blue disk moves to the left", {"red star bounce", "blue circle left"}},
      {"an orange triangle with a pink ring in the center", {"orange triangle", "pink ring center"}},
      {"nothing of the kind", {}},
      {"", {}}};
  for (const auto& [text, expected] : cases) EXPECT_EQ(objects_of(said(text)), expected) << text;
  EXPECT_EQ(said("the ball and a big box on navy blue").background, "navy");
  EXPECT_EQ(said("a star on grey").background, "gray");
}

TEST(Caption, ThatContradictsItselfSaysNothingThere) {
  EXPECT_EQ(objects_of(said("a red blue circle on the left")), std::vector<std::string>{"circle left"});
  EXPECT_EQ(objects_of(said("a red red circle")), std::vector<std::string>{"red circle"});
  EXPECT_EQ(said("a star on white on black").background, "");
  EXPECT_THAT(objects_of(said("a star, a ring, a cross")), testing::IsEmpty());
}

Expectation truth() {
  return {.prompt = "",
          .file = "",
          .objects = {{.colour = "red", .shape = "circle", .size = "small", .place = "left"},
                      {.colour = "blue", .shape = "star", .size = "medium", .place = "right"}},
          .background = "white"};
}

struct Verdict {
  std::string text;
  int colour, shape, size_asked, place_asked, everything;
};

TEST(Caption, IsScoredByWhatItNames) {
  const std::vector<Verdict> cases{{"a small red circle on the left and a blue star on white", 2, 2, 1, 1, 1},
                                   {"a blue star on the right and a red circle", 2, 2, 0, 1, 1},
                                   {"a red circle and a blue star on black", 2, 2, 0, 0, 0},  // the background is wrong
                                   {"a large red circle and a blue star", 2, 2, 1, 0, 0},     // so is the size
                                   {"a red star and a blue circle", 2, 0, 0, 0, 0},  // colours of each other's shape
                                   {"a red circle", 1, 1, 0, 0, 0},                  // one is missing
                                   {"a blue star", 1, 1, 0, 0, 0},                   // the other
                                   {"a circle and a blue star", 1, 2, 0, 0, 0},      // a colour is not named
                                   {"a red circle, a blue star and a green ring", 0, 0, 0, 0, 0}};  // one too many
  for (const Verdict& expected : cases) {
    const ClipScore score = compare_caption(truth(), said(expected.text));
    EXPECT_EQ(score.of(Attribute::colour).right, expected.colour) << expected.text;
    EXPECT_EQ(score.of(Attribute::colour).asked, 2) << expected.text;
    EXPECT_EQ(score.of(Attribute::shape).right, expected.shape) << expected.text;
    EXPECT_EQ(score.of(Attribute::size).asked, expected.size_asked) << expected.text;
    EXPECT_EQ(score.of(Attribute::place).asked, expected.place_asked) << expected.text;
    EXPECT_EQ(score.of(Attribute::everything).right, expected.everything) << expected.text;
  }
  Expectation one = truth();
  one.objects.pop_back();
  EXPECT_EQ(compare_caption(one, said("a red circle and a blue star")).of(Attribute::everything).right, 0);
}

TEST(Caption, AgreesWithThePictureItDescribes) {
  for (const Expectation& entry : still_truth()) {
    const Expectation expected = expected_by(entry.prompt, said(entry.prompt));
    const int objects = static_cast<int>(expected.objects.size());
    const Judgement seen = judge_picture(still_frame(entry)[0], domain(), {.objects = objects});
    EXPECT_EQ(compare(expected, seen).of(Attribute::everything).right, 1) << entry.prompt;
    for (const std::string& other : {std::string("a thing on teal"), std::string("a circle"), std::string()})
      EXPECT_EQ(compare(expected_by(other, said(other)), seen).of(Attribute::everything).right, 0) << other;
  }
}

}  // namespace
}  // namespace bitreel::quality
