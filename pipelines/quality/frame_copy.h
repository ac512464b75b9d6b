// A frame that stays: a reader lends its frames until the next call, and an encoder's caller for the length of a call.
//
//   std::vector<cv::Mat> frames;
//   while (const std::optional<Frame> frame = video.next()) frames.push_back(copy_of(*frame));
//
// CV_8UC3 in RGB order, as Frame has it (OpenCV's own readers have BGR).
#pragma once

#include <algorithm>
#include <opencv2/core.hpp>

#include "pipelines/video/frame.h"

namespace bitreel {

inline cv::Mat copy_of(const Frame& frame) {
  cv::Mat copy(frame.height, frame.width, CV_8UC3);
  std::copy_n(frame.rgb, copy.total() * copy.elemSize(), copy.data);
  return copy;
}

}  // namespace bitreel
