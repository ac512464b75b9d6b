// The judge against clips whose truth is known: as drawn, spoiled, mislabelled, and with nothing in them.
#include "pipelines/quality/judge.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "base/error.h"
#include "tests/pipelines/quality/clips.h"

namespace bitreel::quality {
namespace {

constexpr std::array asked_of_the_judge{Attribute::colour, Attribute::shape, Attribute::motion};

TEST(Judge, ReadsDrawnClips) {
  const ScoreTable table = judge_drawn(1, [](const Frames& frames) { return frames; });
  std::cout << table.text();
  ASSERT_GE(table.of(1, Attribute::everything).asked, 60);
  ASSERT_GE(table.of(2, Attribute::everything).asked, 20);
  EXPECT_EQ(table.of(Attribute::place).asked, 0);
  for (size_t i = 0; i < attribute_names.size(); ++i) {
    if (static_cast<Attribute>(i) == Attribute::place) continue;  // of stills only
    EXPECT_GE(table.of(1, static_cast<Attribute>(i)).percent(), 98) << attribute_names[i];
    EXPECT_GE(table.of(2, static_cast<Attribute>(i)).percent(), 95) << attribute_names[i] << ", two objects";
  }
}

struct Spoiling {
  const char* name;
  Frames (*spoil)(const Frames&);
};

class Spoiled : public testing::TestWithParam<Spoiling> {};

TEST_P(Spoiled, IsReadNearlyAsWell) {
  const ScoreTable table = judge_drawn(2, GetParam().spoil);
  std::cout << table.text();
  for (const Attribute attribute : asked_of_the_judge) {
    EXPECT_GE(table.of(1, attribute).percent(), 95) << attribute_names[static_cast<size_t>(attribute)];
    EXPECT_GE(table.of(2, attribute).percent(), 85) << attribute_names[static_cast<size_t>(attribute)];
  }
}

INSTANTIATE_TEST_SUITE_P(Clips, Spoiled,
                         testing::Values(Spoiling{"Blurred", [](const Frames& f) { return blurred(f, 1.5); }},
                                         Spoiling{"Noisy", [](const Frames& f) { return noisy(f, 10); }},
                                         Spoiling{"Compressed", [](const Frames& f) { return compressed(f, 32); }},
                                         Spoiling{"Painted", [](const Frames& f) { return painted(f); }}),
                         [](const auto& info) { return info.param.name; });

// Each label moved on to the next clip's: only what clips share by chance may still fit.
TEST(Judge, NoticesWrongLabels) {
  ScoreTable table;
  const auto& truth = drawn_truth();
  for (size_t i = 0; i + 1 < truth.size(); i += 3) {
    if (truth[i].objects.size() != 1 || truth[i + 1].objects.size() != 1) continue;
    table.add(compare(truth[i + 1], judge(drawn_frames(truth[i]), domain(), {.objects = 1})));
  }
  EXPECT_GE(table.of(1, Attribute::everything).asked, 15);
  EXPECT_EQ(table.of(1, Attribute::everything).right, 0) << table.text();
  EXPECT_LT(table.of(1, Attribute::colour).percent(), 50);
  EXPECT_LT(table.of(1, Attribute::motion).percent(), 50);
}

Expectation a_red_circle() {
  return {.prompt = "a red circle moves right on navy",
          .file = "",
          .objects = {{.colour = "red", .shape = "circle", .size = "", .motion = "right"}},
          .background = "navy"};
}

Frames frames_of(const cv::Mat& picture) {
  return Frames(25, picture);
}

TEST(Judge, GivesNoiseNothing) {
  cv::RNG random(3);
  cv::Mat still(128, 128, CV_8UC3);
  random.fill(still, cv::RNG::UNIFORM, 0, 256);
  Frames moving;
  for (int t = 0; t < 25; ++t) random.fill(moving.emplace_back(128, 128, CV_8UC3), cv::RNG::UNIFORM, 0, 256);
  for (const Frames& frames : {frames_of(still), moving}) {
    const ClipScore score = compare(a_red_circle(), judge(frames, domain(), {.objects = 1}));
    for (const Count& count : score.counts) EXPECT_EQ(count.right, 0);
  }
}

TEST(Judge, SeesNoObjectOnAnEmptyBackground) {
  const Judgement seen = judge(frames_of(cv::Mat(128, 128, CV_8UC3, cv::Scalar(10, 15, 71))), domain(), {.objects = 2});
  EXPECT_EQ(seen.background, "navy");
  EXPECT_THAT(seen.objects, testing::IsEmpty());
}

TEST(Judge, DoesNotInventASecondObject) {
  for (size_t i = 0; i < drawn_truth().size(); i += 5) {
    const Expectation& truth = drawn_truth()[i];
    if (truth.objects.size() != 1) continue;
    EXPECT_EQ(judge(drawn_frames(truth), domain(), {.objects = 2}).objects.size(), 1U) << truth.file;
  }
}

TEST(Judge, NamesNoMotionForFramesOutOfOrder) {
  const auto sliding =
      std::ranges::find_if(drawn_truth(), [](const Expectation& truth) { return truth.objects[0].motion == "right"; });
  Frames frames = drawn_frames(*sliding);
  cv::RNG random(5);
  for (size_t i = frames.size() - 1; i > 0; --i)
    std::swap(frames[i], frames[random.uniform(0, static_cast<int>(i) + 1)]);
  const Judgement seen = judge(frames, domain(), {.objects = 1});
  ASSERT_EQ(seen.objects.size(), 1U);
  EXPECT_EQ(seen.objects[0].motion, "");
  EXPECT_EQ(seen.objects[0].shape, sliding->objects[0].shape);
}

TEST(Judge, MeasuresSoftEdgesAndFlicker) {
  const Frames sharp = drawn_frames(drawn_truth()[0]);
  Frames wavering;
  for (size_t t = 0; t < sharp.size(); ++t) sharp[t].convertTo(wavering.emplace_back(), -1, 1, t % 2 == 0 ? -6 : 6);
  const Judgement as_drawn = judge(sharp, domain(), {.objects = 1});
  const Judgement soft = judge(blurred(sharp, 1.5), domain(), {.objects = 1});
  EXPECT_LT(as_drawn.objects[0].edge_width, 3);
  EXPECT_GT(soft.objects[0].edge_width, as_drawn.objects[0].edge_width + 1);
  EXPECT_LT(as_drawn.flicker, 1);
  EXPECT_NEAR(judge(wavering, domain(), {.objects = 1}).flicker, 6, 1);
  EXPECT_LT(as_drawn.objects[0].stray, 0.02);
}

TEST(Judge, RefusesFramesItCannotRead) {
  const cv::Mat picture(128, 128, CV_8UC3, cv::Scalar::all(9));
  EXPECT_THROW((void)judge(Frames(3, picture), domain(), {.objects = 1}), Error);
  EXPECT_THROW((void)judge(frames_of(picture), domain(), {.objects = 3}), Error);
  Frames uneven = frames_of(picture);
  uneven[7] = cv::Mat(64, 128, CV_8UC3, cv::Scalar::all(9));
  EXPECT_THAT([&] { (void)judge(uneven, domain(), {.objects = 1}); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("frame 7 is 128x64, the first is 128x128")));
}

}  // namespace
}  // namespace bitreel::quality
