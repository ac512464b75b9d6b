#include "pipelines/quality/temporal.h"

#include <gmock/gmock.h>

#include <opencv2/imgproc.hpp>

#include "base/error.h"

namespace bitreel::quality {
namespace {

// Soft blobs, which optical flow can follow, moved to the right.
cv::Mat scene(double right, double brighter = 0) {
  cv::Mat frame(96, 128, CV_8UC3, cv::Scalar(60, 70, 80));
  for (int i = 0; i < 12; ++i) {
    const int row = i / 6, column = i % 6;
    const cv::Point2d centre(10 + 23 * column + right, 20 + 45 * row + 5 * (column % 3));
    cv::circle(frame, cv::Point(cvRound(centre.x * 16), cvRound(centre.y * 16)), 9 * 16,
               cv::Scalar(200, 30 + 15 * i, 90), cv::FILLED, cv::LINE_AA, 4);
  }
  cv::GaussianBlur(frame, frame, {0, 0}, 2);
  frame += cv::Scalar::all(brighter);
  return frame;
}

TEST(Temporal, AStillClipNeitherMovesNorFlickers) {
  const FrameStep step = frame_step(scene(0), scene(0));
  EXPECT_NEAR(step.motion, 0, 1e-3);
  EXPECT_NEAR(step.flicker, 0, 1e-3);
}

TEST(Temporal, MovingIsMotionAndHardlyFlicker) {
  const FrameStep step = frame_step(scene(0), scene(2));
  EXPECT_THAT(step.motion, testing::AllOf(testing::Gt(0.8), testing::Lt(2.2)));
  EXPECT_LT(step.flicker, 4);
}

TEST(Temporal, AJumpInBrightnessIsFlickerOfItsSize) {
  const FrameStep step = frame_step(scene(0), scene(0, 20));
  EXPECT_NEAR(step.flicker, 20, 4);
}

TEST(Temporal, RefusesFramesOfOtherSizes) {
  EXPECT_THROW(frame_step(scene(0), scene(0)(cv::Rect(0, 0, 64, 64))), Error);
}

}  // namespace
}  // namespace bitreel::quality
