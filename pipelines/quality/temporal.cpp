#include "pipelines/quality/temporal.h"

#include <fmt/format.h>

#include <cmath>
#include <opencv2/imgproc.hpp>
#include <opencv2/video/tracking.hpp>
#include <vector>

#include "base/error.h"

namespace bitreel::quality {
namespace {

cv::Mat grey(const cv::Mat& rgb) {
  cv::Mat result;
  cv::cvtColor(rgb, result, cv::COLOR_RGB2GRAY);
  return result;
}

// For every pixel of `after`, where it was in `before`: displacements as CV_32FC2.
cv::Mat backward_flow(const cv::Mat& before, const cv::Mat& after) {
  constexpr int levels = 4, window = 15, rounds = 3, neighbourhood = 5;
  constexpr double shrink = 0.5, smoothing = 1.1;
  cv::Mat flow;
  cv::calcOpticalFlowFarneback(grey(after), grey(before), flow, shrink, levels, window, rounds, neighbourhood,
                               smoothing, 0);
  return flow;
}

double mean_length(const cv::Mat& flow) {
  std::vector<cv::Mat> parts;
  cv::split(flow, parts);
  cv::Mat length;
  cv::magnitude(parts[0], parts[1], length);
  return cv::mean(length)[0];
}

}  // namespace

FrameStep frame_step(const cv::Mat& before, const cv::Mat& after) {
  if (before.size() != after.size() || before.type() != CV_8UC3 || after.type() != CV_8UC3 || before.empty()) {
    throw Error(fmt::format("frames of {}x{} and {}x{} do not follow each other, expected 8-bit RGB of one size",
                            before.cols, before.rows, after.cols, after.rows));
  }
  const cv::Mat flow = backward_flow(before, after);
  cv::Mat places(flow.size(), CV_32FC2), within(flow.size(), CV_8U);
  for (int y = 0; y < flow.rows; ++y) {
    for (int x = 0; x < flow.cols; ++x) {
      const cv::Point2f from = flow.at<cv::Point2f>(y, x) + cv::Point2f(static_cast<float>(x), static_cast<float>(y));
      places.at<cv::Point2f>(y, x) = from;
      const bool inside = from.x >= 0 && from.y >= 0 && from.x <= static_cast<float>(flow.cols - 1) &&
                          from.y <= static_cast<float>(flow.rows - 1);
      within.at<std::uint8_t>(y, x) = inside ? 255 : 0;
    }
  }
  cv::Mat moved;
  cv::remap(before, moved, places, cv::noArray(), cv::INTER_LINEAR, cv::BORDER_REPLICATE);
  const double pixels = static_cast<double>(cv::countNonZero(within)) * 3;
  const double squares = cv::norm(moved, after, cv::NORM_L2SQR, within);
  return {.motion = mean_length(flow), .flicker = pixels > 0 ? std::sqrt(squares / pixels) : 0};
}

}  // namespace bitreel::quality
