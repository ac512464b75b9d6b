#include "pipelines/quality/shape.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <vector>

namespace bitreel::quality {
namespace {

constexpr double pi = std::numbers::pi;

// Proportions the recipe draws with, for radius 1
// (assets/pocket/recipe/draw.py, signed_distance).
constexpr double circle_radius = 0.9, square_half_side = 0.8, triangle_inradius = 0.55;
constexpr double star_tip = 1.1, star_notch = 0.5;
constexpr double ring_outer = 0.95, ring_inner = 0.49;
constexpr double cross_length = 0.95, cross_arm = 0.32;

// Signed distance to the outline of the shape of radius 1, negative inside.
double distance(Shape shape, double x, double y) {
  const double length = std::sqrt(x * x + y * y);
  switch (shape) {
    case Shape::circle:
      return length - circle_radius;
    case Shape::square:
      return std::max(std::abs(x), std::abs(y)) - square_half_side;
    case Shape::triangle:
      return std::max(std::abs(x) * std::numbers::sqrt3 / 2 - y / 2, y) - triangle_inradius;
    case Shape::star: {  // folded into half a point: a line from the tip to the notch beside it
      constexpr double point = 2 * pi / 5;
      const double folded = std::abs(std::remainder(std::atan2(x, -y), point));
      const double along = length * std::cos(folded) - star_tip, across = length * std::sin(folded);
      const double ex = star_notch * std::cos(point / 2) - star_tip, ey = star_notch * std::sin(point / 2);
      return (along * ey - across * ex) / std::hypot(ex, ey);
    }
    case Shape::ring:
      return std::abs(length - (ring_outer + ring_inner) / 2) - (ring_outer - ring_inner) / 2;
    case Shape::cross: {
      const double ax = std::abs(x), ay = std::abs(y);
      return std::min(std::max(ax - cross_length, ay - cross_arm), std::max(ax - cross_arm, ay - cross_length));
    }
  }
  return 1;
}

struct Symmetry {
  int order = 0;     // 0: any rotation looks the same
  double phase = 0;  // argument of the sum of (x + iy)^order over the shape at angle 0
  double area = 0;   // at radius 1
};

Symmetry symmetry_of(Shape shape) {
  switch (shape) {
    case Shape::circle:
      return {.order = 0, .phase = 0, .area = pi * circle_radius * circle_radius};
    case Shape::square:
      return {.order = 4, .phase = pi, .area = 4 * square_half_side * square_half_side};
    case Shape::triangle:
      return {.order = 3, .phase = pi / 2, .area = 3 * std::numbers::sqrt3 * triangle_inradius * triangle_inradius};
    case Shape::star:
      return {.order = 5, .phase = -pi / 2, .area = 5 * star_tip * star_notch * std::sin(pi / 5)};
    case Shape::ring:
      return {.order = 0, .phase = 0, .area = pi * (ring_outer * ring_outer - ring_inner * ring_inner)};
    case Shape::cross:
      return {.order = 4, .phase = 0, .area = 8 * cross_length * cross_arm - 4 * cross_arm * cross_arm};
  }
  return {};
}

constexpr int parameters = 5;
using Vector = cv::Vec<double, parameters>;

Vector pack(const Pose& pose) {
  return {pose.x, pose.y, std::log(pose.radius), pose.angle, std::log(pose.edge_width)};
}

Pose unpack(const Vector& v) {
  return {.x = v[0], .y = v[1], .radius = std::exp(v[2]), .angle = v[3], .edge_width = std::exp(v[4])};
}

// The pixels a fit looks at: the covered part of the picture and a margin of empty ones around it.
struct Window {
  cv::Mat coverage, weight;
  cv::Point corner;
  cv::Size picture;

  [[nodiscard]] double x(int column) const { return (corner.x + column + 0.5) * 2 / picture.width - 1; }
  [[nodiscard]] double half_width() const { return picture.width / 2.0; }
  [[nodiscard]] double y(int row) const { return (corner.y + row + 0.5) * 2 / picture.height - 1; }
};

// A shape in a pose.
class Outline {
 public:
  Outline(Shape shape, const Pose& pose, const Window& window)
      : shape_(shape),
        pose_(pose),
        cosine_(std::cos(pose.angle) / pose.radius),
        sine_(std::sin(pose.angle) / pose.radius),
        steepness_(pose.radius * window.half_width() / pose.edge_width) {}

  // The coverage of a pixel, before it is cut off at 0 and 1: how far inside the outline it lies, in edge widths.
  [[nodiscard]] double ramp(double x, double y) const {
    const double dx = x - pose_.x, dy = y - pose_.y;
    return 0.5 - steepness_ * distance(shape_, dx * cosine_ + dy * sine_, dy * cosine_ - dx * sine_);
  }

 private:
  Shape shape_;
  Pose pose_;
  double cosine_, sine_, steepness_;
};

std::vector<double> draw_ramps(Shape shape, const Pose& pose, const Window& window) {
  const Outline outline(shape, pose, window);
  std::vector<double> result;
  result.reserve(window.coverage.total());
  for (int row = 0; row < window.coverage.rows; ++row)
    for (int column = 0; column < window.coverage.cols; ++column)
      result.push_back(outline.ramp(window.x(column), window.y(row)));
  return result;
}

double covered(double ramp) {
  return std::clamp(ramp, 0.0, 1.0);
}

double squared_error(const Window& window, const std::vector<double>& ramps) {
  double sum = 0;
  size_t i = 0;
  for (int row = 0; row < window.coverage.rows; ++row)
    for (int column = 0; column < window.coverage.cols; ++column, ++i) {
      const double residual = window.coverage.at<float>(row, column) - covered(ramps[i]);
      sum += window.weight.at<float>(row, column) * residual * residual;
    }
  return sum;
}

std::optional<Window> window_around(const Patch& patch) {
  cv::Mat covered = patch.coverage > 0.1;
  const cv::Rect box = cv::boundingRect(covered);
  if (box.empty()) return std::nullopt;
  constexpr int margin = 6;
  const cv::Rect padded = cv::Rect(box.x - margin, box.y - margin, box.width + 2 * margin, box.height + 2 * margin) &
                          cv::Rect({0, 0}, patch.coverage.size());
  return Window{patch.coverage(padded), patch.weight(padded), padded.tl(), patch.coverage.size()};
}

// Centroid, area and the shape's own harmonic give place, radius and angle of anything wholly visible.
Pose pose_from_moments(Shape shape, const Window& window) {
  const Symmetry symmetry = symmetry_of(shape);
  double area = 0, mx = 0, my = 0;
  const auto each = [&](auto&& visit) {
    for (int row = 0; row < window.coverage.rows; ++row)
      for (int column = 0; column < window.coverage.cols; ++column)
        visit(window.coverage.at<float>(row, column) * window.weight.at<float>(row, column), window.x(column),
              window.y(row));
  };
  each([&](double a, double x, double y) { area += a, mx += a * x, my += a * y; });
  area = std::max(area, 1e-6), mx /= area, my /= area;
  std::complex<double> harmonic = 0;
  if (symmetry.order > 0)
    each([&](double a, double x, double y) { harmonic += a * std::pow(std::complex(x - mx, y - my), symmetry.order); });
  const double pixel = 4.0 / (window.picture.width * static_cast<double>(window.picture.height));
  return {.x = mx,
          .y = my,
          .radius = std::sqrt(area * pixel / symmetry.area),
          .angle = symmetry.order > 0 ? (std::arg(harmonic) - symmetry.phase) / symmetry.order : 0,
          .edge_width = 1.5};
}

// One damped Gauss-Newton step; the caller keeps it only if it helps. Only pixels near the outline tell where to go.
Vector step_from(Shape shape, const Vector& at, const Window& window, const std::vector<double>& ramps,
                 double damping) {
  constexpr std::array<double, parameters> nudge{0.004, 0.004, 0.01, 0.01, 0.05};
  std::vector<Outline> nudged;
  for (int p = 0; p < parameters; ++p) {
    Vector moved = at;
    moved[p] += nudge[p];
    nudged.emplace_back(shape, unpack(moved), window);
  }
  cv::Matx<double, parameters, parameters> normal = cv::Matx<double, parameters, parameters>::zeros();
  Vector gradient, slope;
  size_t i = 0;
  for (int row = 0; row < window.coverage.rows; ++row)
    for (int column = 0; column < window.coverage.cols; ++column, ++i) {
      const double weight = window.weight.at<float>(row, column);
      if (weight == 0 || ramps[i] < -1 || ramps[i] > 2) continue;
      const double drawn = covered(ramps[i]), residual = window.coverage.at<float>(row, column) - drawn;
      for (int p = 0; p < parameters; ++p) {
        const double moved = nudged[p].ramp(window.x(column), window.y(row));
        slope[p] = (covered(moved) - drawn) / nudge[p];
      }
      for (int a = 0; a < parameters; ++a) {
        gradient[a] += weight * residual * slope[a];
        for (int b = a; b < parameters; ++b) normal(a, b) += weight * slope[a] * slope[b];
      }
    }
  for (int a = 0; a < parameters; ++a) {
    for (int b = 0; b < a; ++b) normal(a, b) = normal(b, a);
    normal(a, a) = normal(a, a) * (1 + damping) + 1e-9;  // a circle's angle has no slope
  }
  const Vector step = normal.solve(gradient, cv::DECOMP_CHOLESKY);
  constexpr std::array<double, parameters> longest{0.1, 0.1, 0.2, 0.3, 0.4};
  Vector next = at;
  for (int p = 0; p < parameters; ++p) next[p] += std::clamp(step[p], -longest[p], longest[p]);
  next[2] = std::clamp(next[2], std::log(0.02), std::log(1.2));
  next[4] = std::clamp(next[4], std::log(0.7), std::log(8.0));
  return next;
}

}  // namespace

double symmetry_angle(Shape shape) {
  const int order = symmetry_of(shape).order;
  return order > 0 ? 2 * pi / order : 0;
}

ShapeFit fit_shape(Shape shape, const Patch& patch, std::span<const Pose> also) {
  const std::optional<Window> window = window_around(patch);
  if (!window) return {};
  Vector best = pack(pose_from_moments(shape, *window));
  std::vector<double> ramps = draw_ramps(shape, unpack(best), *window);
  double error = squared_error(*window, ramps);
  const auto take = [&](const Vector& candidate) {
    std::vector<double> its_ramps = draw_ramps(shape, unpack(candidate), *window);
    const double its_error = squared_error(*window, its_ramps);
    if (its_error >= error) return false;
    best = candidate, ramps = std::move(its_ramps), error = its_error;
    return true;
  };
  for (const Pose& start : also) take(pack(start));
  double damping = 0.01;
  for (int iteration = 0; iteration < 10 && damping < 10; ++iteration) {
    const double before = error;
    if (take(step_from(shape, best, *window, ramps, damping))) {
      damping /= 4;
      if (before - error < 1e-3 * before) break;
    } else {
      damping *= 10;
    }
  }

  ShapeFit fit{.pose = unpack(best), .error = error, .energy = 0, .overlap = 0, .visible = 0};
  double both = 0, either = 0, seen = 0;
  size_t i = 0;
  for (int row = 0; row < window->coverage.rows; ++row)
    for (int column = 0; column < window->coverage.cols; ++column, ++i) {
      const double a = window->coverage.at<float>(row, column), weight = window->weight.at<float>(row, column);
      fit.energy += weight * a * a;
      const double drawn = covered(ramps[i]);
      both += weight * std::min(a, drawn);
      either += weight * std::max(a, drawn);
      seen += weight * drawn;
    }
  fit.overlap = either > 0 ? both / either : 0;
  fit.visible = seen / (symmetry_of(shape).area * fit.pose.radius * fit.pose.radius * window->half_width() *
                        window->half_width());
  return fit;
}

}  // namespace bitreel::quality
