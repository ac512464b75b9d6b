#include "app/reports/side_by_side.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "pipelines/image/picture.h"

namespace bitreel {
namespace {

constexpr int gap = 4, line_height = 16;

void write_line(cv::Mat& picture, std::string text, cv::Point at, int width) {
  constexpr double scale = 0.42;
  int base = 0;
  const auto needed = [&] { return cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, scale, 1, &base).width; };
  while (!text.empty() && needed() > width) text.pop_back();
  cv::putText(picture, text, at, cv::FONT_HERSHEY_SIMPLEX, scale, cv::Scalar::all(235), 1, cv::LINE_AA);
}

int even(int size) {
  return size + size % 2;
}

}  // namespace

cv::Mat grid_of(const std::vector<LabelledFrame>& cells) {
  const cv::Size size = cells.front().frame.size();
  std::size_t lines = 0;
  for (const LabelledFrame& cell : cells) lines = std::max(lines, cell.lines.size());
  const int height = size.height + line_height * static_cast<int>(lines) + gap, width = size.width + gap;
  const auto count = static_cast<int>(cells.size());
  const int columns =
      std::clamp(static_cast<int>(std::ceil(std::sqrt(static_cast<double>(count) * height / width))), 1, count);
  const int rows = (count + columns - 1) / columns;
  cv::Mat grid(even(rows * height + gap), even(columns * width + gap), CV_8UC3, cv::Scalar::all(24));
  for (int i = 0; i < count; ++i) {
    const LabelledFrame& cell = cells[static_cast<std::size_t>(i)];
    const cv::Point corner(gap + i % columns * width, gap + i / columns * height);
    cell.frame.copyTo(grid(cv::Rect(corner, size)));
    for (std::size_t line = 0; line < cell.lines.size(); ++line) {
      const int down = size.height + line_height * (static_cast<int>(line) + 1) - 4;
      write_line(grid, cell.lines[line], corner + cv::Point(2, down), size.width - 2);
    }
  }
  return grid;
}

cv::Mat difference_of(const cv::Mat& reference, const cv::Mat& frame) {
  constexpr double brightest = 64;  // levels
  cv::Mat difference;
  cv::absdiff(reference, frame, difference);
  cv::transform(difference, difference, cv::Matx13d(1 / 3.0, 1 / 3.0, 1 / 3.0));
  difference.convertTo(difference, CV_8U, 255 / brightest);
  cv::Mat heat;
  cv::applyColorMap(difference, heat, cv::COLORMAP_INFERNO);  // BGR
  cv::cvtColor(heat, heat, cv::COLOR_BGR2RGB);
  const cv::Mat between(reference.rows, gap, CV_8UC3, cv::Scalar::all(255));
  cv::Mat all;
  cv::hconcat(std::vector<cv::Mat>{reference, between, frame, between, heat}, all);
  return all;
}

void write_frame(const std::filesystem::path& path, const cv::Mat& frame) {
  const cv::Mat whole = frame.isContinuous() ? frame : frame.clone();
  write_picture(path, {.width = whole.cols, .height = whole.rows, .rgb = {whole.data, whole.data + 3 * whole.total()}});
}

}  // namespace bitreel
