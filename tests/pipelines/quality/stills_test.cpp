// The judge against still pictures whose truth is known, as drawn and spoiled.
#include <gmock/gmock.h>

#include <array>
#include <iostream>

#include "base/error.h"
#include "pipelines/quality/judge.h"
#include "tests/pipelines/quality/clips.h"

namespace bitreel::quality {
namespace {

TEST(Stills, AreReadAsDrawn) {
  const ScoreTable table = judge_stills([](const Frames& frames) { return frames; });
  std::cout << table.text();
  EXPECT_EQ(table.of(1, Attribute::everything).asked, 18);
  EXPECT_EQ(table.of(2, Attribute::everything).asked, 6);
  for (const Attribute attribute : {Attribute::colour, Attribute::shape, Attribute::size, Attribute::place,
                                    Attribute::background, Attribute::everything})
    EXPECT_EQ(table.of(attribute).right, table.of(attribute).asked) << attribute_names[static_cast<size_t>(attribute)];
  EXPECT_EQ(table.of(Attribute::motion).asked, 0);
}

TEST(Stills, AreReadNearlyAsWellWhenSpoiled) {
  const std::array<Frames (*)(const Frames&), 3> spoilers{[](const Frames& f) { return blurred(f, 1.5); },
                                                          [](const Frames& f) { return noisy(f, 10); },
                                                          [](const Frames& f) { return painted(f); }};
  for (const auto spoil : spoilers) {
    const ScoreTable table = judge_stills(spoil);
    std::cout << table.text();
    for (const Attribute attribute : {Attribute::colour, Attribute::shape, Attribute::place, Attribute::background})
      EXPECT_GE(table.of(attribute).percent(), 90) << attribute_names[static_cast<size_t>(attribute)];
  }
}

TEST(Stills, SayWhenASecondObjectIsThere) {
  for (const Expectation& truth : still_truth()) {
    const int others = judge_picture(still_frame(truth)[0], domain(), {.objects = 1}).others;
    EXPECT_EQ(others, truth.objects.size() == 2 ? 1 : 0) << truth.file;
  }
}

TEST(Stills, HaveNoMotion) {
  const Judgement seen = judge_picture(still_frame(still_truth()[0])[0], domain(), {.objects = 1});
  ASSERT_EQ(seen.objects.size(), 1U);
  EXPECT_EQ(seen.objects[0].motion, "");
  EXPECT_EQ(seen.objects[0].place, still_truth()[0].objects[0].place);
}

TEST(Stills, OfNothingShowNothing) {
  const cv::Mat navy(128, 128, CV_8UC3, cv::Scalar(10, 15, 71));
  EXPECT_THAT(judge_picture(navy, domain(), {.objects = 1}).objects, testing::IsEmpty());
  EXPECT_EQ(judge_picture(navy, domain(), {.objects = 1}).background, "navy");
  EXPECT_THROW((void)judge_picture(cv::Mat(128, 128, CV_8U, cv::Scalar(1)), domain(), {.objects = 1}), Error);
}

}  // namespace
}  // namespace bitreel::quality
