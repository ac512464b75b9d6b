#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "app/reports/scene.h"
#include "base/png.h"

namespace bitreel {
namespace {

constexpr double scale = 2;          // PNG pixels per unit
constexpr int fraction_bits = 4;     // OpenCV's fixed-point coordinates
constexpr double cap_height = 0.70;  // of a sans-serif capital, in font sizes
constexpr int font = cv::FONT_HERSHEY_SIMPLEX;
constexpr double dash = 5, dash_gap = 4;  // as in the SVG

cv::Scalar bgr(const Colour& colour) {
  return {static_cast<double>(colour.blue), static_cast<double>(colour.green), static_cast<double>(colour.red)};
}

int pixels(double units) {
  return static_cast<int>(std::lround(units * scale));
}

cv::Point fixed(const Point& point) {
  const double one = scale * (1 << fraction_bits);
  return {static_cast<int>(std::lround(point.x * one)), static_cast<int>(std::lround(point.y * one))};
}

class Painter {
 public:
  explicit Painter(cv::Mat& picture) : picture_(picture) {}

  void operator()(const Box& box) const {
    const cv::Point from(pixels(box.x), pixels(box.y)), to(pixels(box.x + box.width), pixels(box.y + box.height));
    if (to.x > from.x && to.y > from.y) cv::rectangle(picture_, cv::Rect(from, to), bgr(box.fill), cv::FILLED);
  }

  void operator()(const Curve& path) const {
    double along = 0;  // so that dashes go on around corners
    for (std::size_t i = 1; i < path.points.size(); ++i) {
      const Point &from = path.points[i - 1], &to = path.points[i];
      if (path.stroke == Stroke::solid) {
        line(from, to, path);
        continue;
      }
      const double length = std::hypot(to.x - from.x, to.y - from.y);
      const auto at = [&](double distance) {
        const double t = distance / length;
        return Point{from.x + t * (to.x - from.x), from.y + t * (to.y - from.y)};
      };
      for (double here = 0; here < length;) {
        const double phase = std::fmod(along + here, dash + dash_gap);
        const double next = std::min(length, here + (phase < dash ? dash - phase : dash + dash_gap - phase) + 1e-9);
        if (phase < dash) line(at(here), at(next), path);
        here = next;
      }
      along += length;
    }
  }

  void operator()(const Dot& dot) const {
    cv::circle(picture_, fixed({dot.x, dot.y}), fixed({dot.radius, 0}).x, bgr(dot.fill), cv::FILLED, cv::LINE_AA,
               fraction_bits);
  }

  void operator()(const Words& words) const {
    const int thickness = std::max(1, pixels(words.size / 14));
    const double size =
        cv::getFontScaleFromHeight(font, static_cast<int>(std::lround(words.size * cap_height * scale)), thickness);
    int below = 0;
    const cv::Size extent = cv::getTextSize(words.text, font, size, thickness, &below);
    below += thickness;
    const int shift = words.anchor == Anchor::start    ? 0
                      : words.anchor == Anchor::middle ? extent.width / 2
                                                       : extent.width;
    // Drawn as a mask of its own, which can be turned, then laid onto the picture.
    cv::Mat ink(extent.height + 2 * below, extent.width + 2 * below, CV_8U, cv::Scalar(0));
    cv::putText(ink, words.text, {below, extent.height + below / 2}, font, size, cv::Scalar(255), thickness,
                cv::LINE_AA);
    cv::Point corner(pixels(words.x) - shift - below, pixels(words.y) - extent.height - below / 2);
    if (words.direction == Direction::upwards) {
      corner = {pixels(words.x) - extent.height - below / 2, pixels(words.y) + shift + below - ink.cols};
      cv::rotate(ink, ink, cv::ROTATE_90_COUNTERCLOCKWISE);
    }
    const cv::Rect within = cv::Rect(corner, ink.size()) & cv::Rect({0, 0}, picture_.size());
    const cv::Scalar colour = bgr(words.colour);
    for (int y = within.y; y < within.br().y; ++y) {
      for (int x = within.x; x < within.br().x; ++x) {
        const double share = ink.at<uchar>(y - corner.y, x - corner.x) / 255.0;
        auto& pixel = picture_.at<cv::Vec3b>(y, x);
        for (int c = 0; c < 3; ++c) pixel[c] = cv::saturate_cast<uchar>(pixel[c] + share * (colour[c] - pixel[c]));
      }
    }
  }

 private:
  void line(const Point& from, const Point& to, const Curve& path) const {
    cv::line(picture_, fixed(from), fixed(to), bgr(path.colour), std::max(1, pixels(path.width)), cv::LINE_AA,
             fraction_bits);
  }

  cv::Mat& picture_;
};

}  // namespace

std::string to_png(const Scene& scene) {
  cv::Mat picture(pixels(scene.height), pixels(scene.width), CV_8UC3, cv::Scalar::all(255));
  for (const Shape& shape : scene.shapes) std::visit(Painter(picture), shape);
  return png_of(picture.data, {.width = picture.cols, .height = picture.rows, .order = ChannelOrder::bgr});
}

}  // namespace bitreel
