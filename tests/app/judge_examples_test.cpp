// The examples of bitreel judge's headers, compiled and run (manuals_test.cpp compares), and floors it refuses.
#include <gmock/gmock.h>

#include <string>

#include "app/commands/judged_file.h"
#include "app/commands/score_floor.h"
#include "base/error.h"

namespace bitreel {
namespace {

using quality::Domain;

TEST(JudgeExamples, OfAFile) {
  const Domain domain = Domain::read("assets/pocket/domain.json");
  const JudgedFile file = read_judged("tests/data/stills/003.png", domain);
  file.frames[0];
  file.prompt;
  EXPECT_EQ(file.kind, JudgedKind::picture);
  EXPECT_EQ(file.frames[0].type(), CV_8UC3);
  EXPECT_GT(file.frames[0].at<cv::Vec3b>(0, 0)[0], 240);  // white
  EXPECT_EQ(file.prompt, "");
}

TEST(JudgeExamples, OfAFloor) {
  quality::ScoreTable table;
  quality::ClipScore score;
  score.matched.resize(1);
  score.counts[static_cast<size_t>(quality::Attribute::colour)] = {.right = 24, .asked = 25};
  table.add(score);
  const ScoreFloor floor = parse_score_floor("one.colour=98");
  floor.missed_by(table);
  EXPECT_EQ(floor.missed_by(table), "one.colour is 96.0 % (24 of 25), asked was 98 %");
  EXPECT_EQ(parse_score_floor("colour=96").missed_by(table), "");
  EXPECT_EQ(parse_score_floor("two.all=0").missed_by(table), "two.all was asked by no prompt");
  for (const std::string bad :
       {"colour", "=9", "colour=", "colour=x", "colour=9x", "colour=-1", "colour=nan", "six.all=1", "one.hue=1"})
    EXPECT_THROW((void)parse_score_floor(bad), UsageError) << bad;
}

}  // namespace
}  // namespace bitreel
