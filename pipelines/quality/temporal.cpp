#include "pipelines/quality/temporal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "base/error.h"

namespace bitreel::quality {
namespace {

constexpr int most_levels = 5, smallest_side = 16, rounds = 4;
constexpr double window = 3;  // standard deviation of the Gaussian window, pixels
// Added to the structure tensor, in squared levels a pixel: where there is nothing to follow, nothing moves.
constexpr float regularizer = 4;

cv::Mat grey(const cv::Mat& rgb) {
  cv::Mat result;
  cv::cvtColor(rgb, result, cv::COLOR_RGB2GRAY);
  result.convertTo(result, CV_32F);
  return result;
}

cv::Mat smoothed(const cv::Mat& x) {
  cv::Mat mean;
  cv::GaussianBlur(x, mean, {0, 0}, window, window, cv::BORDER_REPLICATE);
  return mean;
}

// Where each pixel comes from: its own place plus the displacement.
cv::Mat sources(const cv::Mat& flow) {
  cv::Mat positions = flow.clone();
  for (int y = 0; y < positions.rows; ++y) {
    for (int x = 0; x < positions.cols; ++x) {
      positions.at<cv::Point2f>(y, x) += cv::Point2f(static_cast<float>(x), static_cast<float>(y));
    }
  }
  return positions;
}

cv::Mat moved(const cv::Mat& before, const cv::Mat& flow) {
  cv::Mat result;
  cv::remap(before, result, sources(flow), cv::noArray(), cv::INTER_LINEAR, cv::BORDER_REPLICATE);
  return result;
}

// One round of Lucas and Kanade: the displacement, in a window round each pixel, that explains most of what is left.
void refine(const cv::Mat& before, const cv::Mat& after, cv::Mat& flow) {
  const cv::Mat now = moved(before, flow);
  cv::Mat rest = after - now;
  rest -= smoothed(rest);  // light that comes or goes is not motion
  cv::Mat gx, gy;
  cv::Scharr(now, gx, CV_32F, 1, 0, 1 / 32.0);
  cv::Scharr(now, gy, CV_32F, 0, 1, 1 / 32.0);
  const cv::Mat xx = smoothed(gx.mul(gx)) + regularizer, yy = smoothed(gy.mul(gy)) + regularizer;
  const cv::Mat xy = smoothed(gx.mul(gy)), xr = smoothed(gx.mul(rest)), yr = smoothed(gy.mul(rest));
  cv::Mat determinant = xx.mul(yy) - xy.mul(xy), dx, dy;
  cv::divide(yy.mul(xr) - xy.mul(yr), determinant, dx);
  cv::divide(xx.mul(yr) - xy.mul(xr), determinant, dy);
  cv::Mat step;
  cv::merge(std::vector<cv::Mat>{cv::max(cv::min(dx, 1), -1), cv::max(cv::min(dy, 1), -1)}, step);
  flow += step;
}

// For every pixel of `after`, where it was in `before`: displacements as CV_32FC2, from coarse to fine.
cv::Mat backward_flow(const cv::Mat& before, const cv::Mat& after) {
  std::vector<cv::Mat> earlier = {grey(before)}, later = {grey(after)};
  while (static_cast<int>(earlier.size()) < most_levels &&
         std::min(earlier.back().rows, earlier.back().cols) >= 2 * smallest_side) {
    for (std::vector<cv::Mat>* pyramid : {&earlier, &later}) {
      cv::Mat half;
      cv::pyrDown(pyramid->back(), half);
      pyramid->push_back(half);
    }
  }
  cv::Mat flow = cv::Mat::zeros(earlier.back().size(), CV_32FC2);
  for (std::size_t level = earlier.size(); level-- > 0;) {
    if (flow.size() != earlier[level].size()) {
      cv::resize(flow, flow, earlier[level].size(), 0, 0, cv::INTER_LINEAR);
      flow *= 2;
    }
    for (int round = 0; round < rounds; ++round) refine(earlier[level], later[level], flow);
  }
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
  const cv::Mat positions = sources(flow);
  cv::Mat within;
  cv::inRange(positions, cv::Scalar(0, 0), cv::Scalar(flow.cols - 1, flow.rows - 1), within);
  const double pixels = static_cast<double>(cv::countNonZero(within)) * 3;
  const double squares = cv::norm(moved(before, flow), after, cv::NORM_L2SQR, within);
  return {.motion = mean_length(flow), .flicker = pixels > 0 ? std::sqrt(squares / pixels) : 0};
}

}  // namespace bitreel::quality
