// The examples of this room's headers (tests/app/manuals_test.cpp compares), on a clip of one red circle.
#include <gmock/gmock.h>

#include <iostream>
#include <opencv2/core.hpp>
#include <optional>
#include <stdexcept>
#include <vector>

#include "pipelines/quality/caption.h"
#include "pipelines/quality/domain.h"
#include "pipelines/quality/frame_copy.h"
#include "pipelines/quality/frame_metrics.h"
#include "pipelines/quality/judge.h"
#include "pipelines/quality/motion.h"
#include "pipelines/quality/paired_test.h"
#include "pipelines/quality/score.h"
#include "pipelines/quality/segmentation.h"
#include "pipelines/quality/shape.h"
#include "pipelines/quality/temporal.h"
#include "pipelines/video/reader.h"
#include "tests/pipelines/quality/clips.h"

namespace bitreel::quality {
namespace {

// A red one-object clip among the drawn ones.
Frames red_clip() {
  for (const Expectation& truth : drawn_truth()) {
    if (truth.objects.size() == 1 && truth.objects[0].colour == "red") return drawn_frames(truth);
  }
  throw std::runtime_error("no drawn clip is red");
}

TEST(Examples, OfTheJudge) {
  const Frames frames = red_clip();
  const Domain domain = Domain::read("assets/pocket/domain.json");
  domain.colours[0].name;
  EXPECT_EQ(domain.colours[0].name, "blue");
  {
    const Domain domain = Domain::read("assets/pocket/domain.json");
    const Judgement seen = judge(frames, domain, {.objects = 1});
    seen.objects[0].colour;
    judge_picture(frames[0], domain, {.objects = 1}).objects[0].place;
    EXPECT_EQ(seen.objects[0].colour, "red");
    EXPECT_FALSE(judge_picture(frames[0], domain, {.objects = 1}).objects[0].place.empty());
  }

  const std::vector<Expectation> asked = read_expectations("assets/prompts/unseen-100.json", domain);
  ScoreTable table;
  table.add(compare(asked[0], judge(frames, domain, {.objects = 1})));
  std::cout << table.text();
  EXPECT_EQ(table.of(1, Attribute::everything).asked, 1);

  const cv::Mat &reference = frames[0], &frame = frames[1];
  const FrameDifference d = frame_difference(reference, frame);
  EXPECT_GT(d.psnr, 10);
  const std::size_t i = 0;
  cv::Mat moved;
  cv::copyMakeBorder(frames[0].colRange(0, frames[0].cols - 3), moved, 0, 0, 3, 0, cv::BORDER_REPLICATE);
  {
    const std::vector<cv::Mat> frames = {reference, moved};
    const FrameStep step = frame_step(frames[i], frames[i + 1]);
    const double pixels = step.motion;
    EXPECT_GT(pixels, 0);
  }
  const PairedTest test = wilcoxon({0.4, -0.1, 0.3, 0.6, 0.2, 0.5});
  test.p;
  EXPECT_DOUBLE_EQ(test.p, 0.0625);
}

TEST(Examples, OfFrames) {
  VideoReader video("tests/data/drawn/pair-00.mp4");
  std::vector<cv::Mat> frames;
  while (const std::optional<Frame> frame = video.next()) frames.push_back(copy_of(*frame));
  EXPECT_EQ(frames.size(), 25U);
}

TEST(Examples, OfACaption) {
  const Domain domain = Domain::read("assets/pocket/domain.json");
  const Expectation truth{.prompt = "",
                          .file = "",
                          .objects = {{.colour = "purple", .shape = "square", .size = "small", .place = "top left"}},
                          .background = "white"};
  const Judgement said = read_caption("A small violet box at the top left on white.", domain);
  said.objects[0].shape;
  compare_caption(truth, said).of(Attribute::everything).right;
  EXPECT_EQ(said.objects[0].shape, "square");
  EXPECT_EQ(compare_caption(truth, said).of(Attribute::everything).right, 1);
}

TEST(Examples, OfSegmentation) {
  const Frames frames = red_clip();
  const Domain domain = Domain::read("assets/pocket/domain.json");
  const Clip clip = prepare(frames);
  const std::optional<Background> background = find_background(clip);
  const std::vector<NamedColour> colours = find_object_colours(clip, *background, domain, 1);
  const std::vector<Layer> layers = separate(clip, *background, colours);
  layers[0].patches[12];
  EXPECT_GT(layers[0].area[12], 0);

  const Patch& patch = layers[0].patches[12];
  const ShapeFit fit = fit_shape(Shape::star, patch, {});
  fit.pose.x;
  fit.error;
  EXPECT_GE(fit.error, 0);

  Track track{.frames = 25, .sightings = {}};
  for (int i = 0; i < 25; ++i) track.sightings.push_back({.frame = i, .pose = {.radius = 0.2}, .overlap = 1});
  const std::optional<Motion> motion = find_motion(track, Shape::square);
  EXPECT_EQ(motion, Motion::still);
}

}  // namespace
}  // namespace bitreel::quality
