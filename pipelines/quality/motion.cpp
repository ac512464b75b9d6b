#include "pipelines/quality/motion.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "base/statistics.h"

namespace bitreel::quality {
namespace {

// The recipe's slides are 0.9 long, bounces 0.55 high, orbits 0.7 wide; radii change 2.6-fold; spins turn 144 degrees.
constexpr double least_share_seen = 0.6;  // of the frames
constexpr double least_travel = 0.22;     // half picture widths
constexpr double straightness = 0.35;     // sideways extent of a straight path, as a share of its length
constexpr double onwards = 0.75;          // of the way goes one direction, on a slide
constexpr double least_growth = 0.27;     // of the radius' logarithm, start to end: 1.3-fold
constexpr double full_growth = 0.97;
constexpr double full_travel = 0.7;
constexpr double least_turn = 0.7;        // radians, start to end: 40 degrees
constexpr double steadiness = 0.85;       // correlation with time of what grows or shrinks steadily
constexpr double least_agreement = 0.7;   // of all angles with one steady rate
constexpr double least_orbit = 2.0;       // radians around the middle
constexpr double orbit_roundness = 0.25;  // standard deviation of the distance from the middle, as a share of it

using Series = std::vector<double>;

// Medians of three, so that one bad frame is no motion.
Series smooth(const Series& values) {
  Series result = values;
  for (size_t i = 1; i + 1 < values.size(); ++i)
    result[i] =
        std::max(std::min(values[i - 1], values[i]), std::min(std::max(values[i - 1], values[i]), values[i + 1]));
  return result;
}

double extent(const Series& values) {
  const auto [low, high] = std::ranges::minmax(values);
  return high - low;
}

struct Line {
  double rise = 0;         // from the first to the last value
  double correlation = 0;  // with time
};

Line fit_line(const Series& time, const Series& values) {
  const double mt = mean(time), mv = mean(values);
  double tt = 0, tv = 0, vv = 0;
  for (size_t i = 0; i < time.size(); ++i) {
    tt += (time[i] - mt) * (time[i] - mt);
    tv += (time[i] - mt) * (values[i] - mv);
    vv += (values[i] - mv) * (values[i] - mv);
  }
  return {.rise = tv / tt * (time.back() - time.front()), .correlation = vv > 0 ? tv / std::sqrt(tt * vv) : 0};
}

// Net way over the way walked: 1 for a slide, 0 for a return to the start.
double one_way(const Series& values) {
  double walked = 0;
  for (size_t i = 1; i < values.size(); ++i) walked += std::abs(values[i] - values[i - 1]);
  return walked > 0 ? (values.back() - values.front()) / walked : 0;
}

// Round a middle at a steady distance, always the same way. The middle: least squares of x^2 + y^2 = 2ax + 2by + c.
bool is_orbit(const Series& x, const Series& y) {
  const int n = static_cast<int>(x.size());
  cv::Mat a(n, 3, CV_64F), b(n, 1, CV_64F), solution;
  for (int i = 0; i < n; ++i) {
    a.at<double>(i, 0) = 2 * x[i], a.at<double>(i, 1) = 2 * y[i], a.at<double>(i, 2) = 1;
    b.at<double>(i) = x[i] * x[i] + y[i] * y[i];
  }
  cv::solve(a, b, solution, cv::DECOMP_SVD);
  const double mx = solution.at<double>(0), my = solution.at<double>(1);
  double mean = 0, square = 0, swept = 0;
  for (int i = 0; i < n; ++i) {
    const double distance = std::hypot(x[i] - mx, y[i] - my);
    mean += distance / n, square += distance * distance / n;
    if (i > 0)
      swept += std::remainder(std::atan2(y[i] - my, x[i] - mx) - std::atan2(y[i - 1] - my, x[i - 1] - mx),
                              2 * std::numbers::pi);
  }
  const double spread = std::sqrt(std::max(0.0, square - mean * mean));
  return std::abs(swept) > least_orbit && spread < orbit_roundness * mean;
}

std::optional<Motion> find_travel(const Series& x, const Series& y) {
  const double wide = extent(x), high = extent(y);
  if (high < straightness * wide) {
    if (one_way(x) > onwards) return Motion::right;
    if (one_way(x) < -onwards) return Motion::left;
    return std::nullopt;
  }
  if (wide < straightness * high) {
    if (one_way(y) > onwards) return Motion::down;
    if (one_way(y) < -onwards) return Motion::up;
    return Motion::bounce;
  }
  if (is_orbit(x, y)) return Motion::orbit;
  return std::nullopt;
}

struct Turning {
  double turn = 0;       // radians, start to end, at the steady rate that fits best
  double agreement = 0;  // 1: every frame is where that rate puts it; 0: anywhere
};

// Angles are known up to the shape's symmetry, so they are compared as points on a circle that it makes whole. A rate
// is fitted to all frames at once: following the angle from frame to frame would go astray at the first bad frame.
Turning find_turning(const Series& time, const Series& angle, double period) {
  const auto agreement = [&](double rate) {
    std::complex<double> sum = 0;
    for (size_t i = 0; i < time.size(); ++i)
      sum += std::polar(1.0, (angle[i] - rate * (time[i] - time[0])) * 2 * std::numbers::pi / period);
    return std::abs(sum) / static_cast<double>(time.size());
  };
  const double frames = time.back() - time.front();
  Turning best{.turn = 0, .agreement = agreement(0)};
  constexpr double most_turn = 1.5 * std::numbers::pi, step = 0.02;
  for (double turn = -most_turn; turn <= most_turn; turn += step)
    if (const double its = agreement(turn / frames); its > best.agreement) best.turn = turn, best.agreement = its;
  return best;
}

}  // namespace

std::optional<Motion> find_motion(const Track& track, Shape shape) {
  const auto& seen = track.sightings;
  if (seen.size() < 4 || static_cast<double>(seen.size()) < least_share_seen * track.frames) return std::nullopt;
  Series time, x, y, size, angle;
  for (const Sighting& sighting : seen) {
    time.push_back(sighting.frame);
    x.push_back(sighting.pose.x);
    y.push_back(sighting.pose.y);
    size.push_back(std::log(sighting.pose.radius));
    angle.push_back(sighting.pose.angle);
  }
  x = smooth(x), y = smooth(y), size = smooth(size);

  const double travel = std::max(extent(x), extent(y));
  const Line growth = fit_line(time, size);
  const bool grows = std::abs(growth.rise) > least_growth && std::abs(growth.correlation) > steadiness;
  if (travel > least_travel && !(grows && std::abs(growth.rise) / full_growth > travel / full_travel))
    return find_travel(x, y);
  if (grows) return growth.rise > 0 ? Motion::grow : Motion::shrink;
  if (extent(size) > 2 * least_growth) return std::nullopt;  // swells and shrinks again

  const double period = symmetry_angle(shape);
  if (period > 0) {
    const Turning turning = find_turning(time, angle, period);
    if (turning.agreement < least_agreement) return std::nullopt;
    if (std::abs(turning.turn) > least_turn) return Motion::spin;
  }
  return Motion::still;
}

}  // namespace bitreel::quality
