// Pictures that put clips beside each other: a labelled grid of frames, and what differs in one frame.
//
//   const cv::Mat frame = grid_of({{full[i], {"full"}}, {int8[i], {"int8", "PSNR 36.1 dB"}}});
//   write_frame("difference.jpg", difference_of(full[i], int8[i]));
//
// Frames are CV_8UC3 in RGB order and of one size. A grid's width and height are even, as 4:2:0 video wants them.
#pragma once

#include <filesystem>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

namespace bitreel {

struct LabelledFrame {
  cv::Mat frame;
  std::vector<std::string> lines;  // under it; ASCII, as OpenCV's font has no more; as much as fits
};

// In rows of as many as make the grid about as wide as high.
cv::Mat grid_of(const std::vector<LabelledFrame>& cells);

// The reference, the other, and the mean absolute difference of their channels as colour, from black (equal) over
// purple and orange to yellow (a quarter of the range or more), side by side.
cv::Mat difference_of(const cv::Mat& reference, const cv::Mat& frame);

// PNG, JPEG or WebP by the extension (pipelines/image/picture.h).
void write_frame(const std::filesystem::path& path, const cv::Mat& frame);

}  // namespace bitreel
