#include "app/reports/contact_sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "app/reports/side_by_side.h"

namespace bitreel {
namespace {

constexpr int sheet_gap = 4, sheet_line_height = 16, columns = 2;

cv::Scalar verdict_colour(Verdict verdict) {  // RGB
  switch (verdict) {
    case Verdict::right:
      return {0, 110, 0};
    case Verdict::wrong:
      return {190, 0, 0};
    case Verdict::plain:
      break;
  }
  return {0, 0, 0};
}

// As much of the text as fits.
void write_caption(cv::Mat& picture, std::string text, cv::Point at, Verdict verdict) {
  constexpr double scale = 0.42;
  int base = 0;
  const auto width = [&] { return cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, scale, 1, &base).width; };
  while (!text.empty() && at.x + width() > picture.cols) text.pop_back();
  cv::putText(picture, text, at, cv::FONT_HERSHEY_SIMPLEX, scale, verdict_colour(verdict), 1, cv::LINE_AA);
}

}  // namespace

void ContactSheet::add(const std::vector<cv::Mat>& frames, const std::vector<Caption>& captions) {
  const cv::Size size = frames.front().size();
  const int lines = static_cast<int>(captions.size());
  if (frames.size() == 1) {
    cv::Mat strip(size.height + sheet_gap, shown * (size.width + sheet_gap), CV_8UC3, cv::Scalar::all(255));
    frames[0].copyTo(strip({{0, 0}, size}));
    for (int i = 0; i < lines; ++i)
      write_caption(strip, captions[i].text, {size.width + 2 * sheet_gap, sheet_line_height * (i + 1)},
                    captions[i].verdict);
    strips_.push_back(strip);
    return;
  }
  cv::Mat strip((size.height + sheet_gap) + sheet_line_height * lines + sheet_gap, shown * (size.width + sheet_gap),
                CV_8UC3, cv::Scalar::all(255));
  for (int i = 0; i < shown; ++i)
    frames[i * (frames.size() - 1) / (shown - 1)].copyTo(strip({{i * (size.width + sheet_gap), 0}, size}));
  for (int i = 0; i < lines; ++i)
    write_caption(strip, captions[i].text, {2, size.height + sheet_gap + sheet_line_height * (i + 1) - 4},
                  captions[i].verdict);
  strips_.push_back(strip);
}

void ContactSheet::save(const std::filesystem::path& path) const {
  std::vector<cv::Mat> sides;
  const size_t rows = (strips_.size() + columns - 1) / columns;
  int height = 0;
  for (size_t first = 0; first < strips_.size(); first += rows) {
    cv::Mat side;
    cv::vconcat(
        std::vector<cv::Mat>(strips_.begin() + static_cast<std::ptrdiff_t>(first),
                             strips_.begin() + static_cast<std::ptrdiff_t>(std::min(first + rows, strips_.size()))),
        side);
    height = std::max(height, side.rows);
    sides.push_back(side);
  }
  for (cv::Mat& side : sides)
    cv::copyMakeBorder(side, side, 0, height - side.rows, 0, 2 * sheet_gap, cv::BORDER_CONSTANT, cv::Scalar::all(255));
  cv::Mat sheet;
  cv::hconcat(sides, sheet);
  write_frame(path, sheet);
}

}  // namespace bitreel
