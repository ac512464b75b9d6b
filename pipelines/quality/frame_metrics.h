// How far one 8-bit RGB frame is from another: PSNR and SSIM.
//
//   const FrameDifference d = frame_difference(reference, frame);   // cv::Mat, CV_8UC3, one size
//
// psnr in dB over all channels, 99 for equal frames (as ffmpeg's filter caps it in its averages). ssim: Wang et al.
// 2004, a Gaussian window of 11 with sigma 1.5, K1 = .01, K2 = .03, mean over pixels and channels. Frames need 11x11
// pixels. Errors: Error when sizes or types differ.
#pragma once

#include <opencv2/core.hpp>

namespace bitreel::quality {

inline constexpr double highest_psnr = 99;

struct FrameDifference {
  double psnr = 0;
  double ssim = 0;
};

FrameDifference frame_difference(const cv::Mat& reference, const cv::Mat& frame);

}  // namespace bitreel::quality
