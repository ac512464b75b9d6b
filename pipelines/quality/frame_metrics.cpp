#include "pipelines/quality/frame_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "base/error.h"

namespace bitreel::quality {
namespace {

double psnr(const cv::Mat& a, const cv::Mat& b) {
  const double squares = cv::norm(a, b, cv::NORM_L2SQR);
  if (squares == 0) return highest_psnr;
  const double mean = squares / static_cast<double>(a.total() * static_cast<std::size_t>(a.channels()));
  return std::min(highest_psnr, 10 * std::log10(255.0 * 255.0 / mean));
}

cv::Mat window_means(const cv::Mat& x) {
  cv::Mat mean;
  cv::GaussianBlur(x, mean, {11, 11}, 1.5);
  // The window must lie within the frame.
  return mean(cv::Rect(5, 5, x.cols - 10, x.rows - 10)).clone();
}

double ssim(const cv::Mat& reference, const cv::Mat& frame) {
  constexpr double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
  cv::Mat a, b;
  reference.convertTo(a, CV_64F);
  frame.convertTo(b, CV_64F);
  const cv::Mat mean_a = window_means(a), mean_b = window_means(b);
  const cv::Mat means = mean_a.mul(mean_b), squares = mean_a.mul(mean_a) + mean_b.mul(mean_b);
  const cv::Mat covariance = window_means(a.mul(b)) - means;
  const cv::Mat variances = window_means(a.mul(a)) + window_means(b.mul(b)) - squares;
  cv::Mat quotient;
  cv::divide((2 * means + cv::Scalar::all(c1)).mul(2 * covariance + cv::Scalar::all(c2)),
             (squares + cv::Scalar::all(c1)).mul(variances + cv::Scalar::all(c2)), quotient);
  const cv::Scalar mean = cv::mean(quotient);
  return (mean[0] + mean[1] + mean[2]) / 3;
}

}  // namespace

FrameDifference frame_difference(const cv::Mat& reference, const cv::Mat& frame) {
  if (reference.size() != frame.size() || reference.type() != CV_8UC3 || frame.type() != CV_8UC3 ||
      std::min(frame.cols, frame.rows) < 11) {
    throw Error(fmt::format("frames of {}x{} and {}x{} can't be compared, expected 8-bit RGB of one size from 11x11",
                            reference.cols, reference.rows, frame.cols, frame.rows));
  }
  return {.psnr = psnr(reference, frame), .ssim = ssim(reference, frame)};
}

}  // namespace bitreel::quality
