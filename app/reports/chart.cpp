#include "app/reports/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bitreel {
namespace {

constexpr double left = 72, top = 44, plot_width = 480, plot_height = 280, bottom = 52, right = 150;
constexpr Colour ink{40, 40, 40}, grid{228, 228, 228};
constexpr double legend_line = 18;

double spacing_of(double span, int count) {
  const double rough = span / std::max(1, count);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power * (1 + 1e-9)) return factor * power;
  }
  return 10 * power;
}

}  // namespace

std::vector<double> ticks(double least, double most, int count) {
  if (!(most > least)) return {least};
  const double spacing = spacing_of(most - least, count);
  std::vector<double> values;
  for (double k = std::ceil(least / spacing - 1e-9); k * spacing <= most + 1e-9 * spacing; ++k)
    values.push_back(k * spacing + 0.0);  // 0, never -0
  return values;
}

std::string tick_text(double value, double spacing) {
  const int digits = spacing > 0 ? std::max(0, static_cast<int>(std::ceil(-std::log10(spacing) - 1e-9))) : 3;
  return fmt::format("{:.{}f}", value, std::min(digits, 9));
}

Chart::Chart(const std::string& title, Axis across, Axis up)
    : scene_{.width = left + plot_width + right, .height = top + plot_height + bottom},
      across_(std::move(across)),
      up_(std::move(up)) {
  for (Axis* axis : {&across_, &up_}) {
    if (!(axis->most > axis->least)) axis->most = axis->least + 1;
  }
  scene_.add(Words{.x = left, .y = 26, .text = title, .size = 15, .colour = ink});
  const std::vector<double> columns = ticks(across_.least, across_.most, 6), rows = ticks(up_.least, up_.most, 6);
  const auto spacing = [](const std::vector<double>& values) { return values.size() < 2 ? 0 : values[1] - values[0]; };
  for (const double value : columns) {
    const double x = place({value, up_.least}).x;
    scene_.add(Curve{.points = {{x, top}, {x, top + plot_height}}, .colour = grid});
    scene_.add(Words{.x = x,
                     .y = top + plot_height + 17,
                     .text = tick_text(value, spacing(columns)),
                     .anchor = Anchor::middle,
                     .colour = ink});
  }
  for (const double value : rows) {
    const double y = place({across_.least, value}).y;
    scene_.add(Curve{.points = {{left, y}, {left + plot_width, y}}, .colour = grid});
    scene_.add(Words{
        .x = left - 7, .y = y + 4, .text = tick_text(value, spacing(rows)), .anchor = Anchor::end, .colour = ink});
  }
  scene_.add(
      Curve{.points = {{left, top}, {left, top + plot_height}, {left + plot_width, top + plot_height}}, .colour = ink});
  scene_.add(Words{.x = left + plot_width / 2,
                   .y = top + plot_height + 40,
                   .text = across_.label,
                   .size = 13,
                   .anchor = Anchor::middle,
                   .colour = ink});
  scene_.add(Words{.x = 20,
                   .y = top + plot_height / 2,
                   .text = up_.label,
                   .size = 13,
                   .anchor = Anchor::middle,
                   .direction = Direction::upwards,
                   .colour = ink});
}

Point Chart::place(const Point& value) const {
  return {left + plot_width * (value.x - across_.least) / (across_.most - across_.least),
          top + plot_height * (1 - (value.y - up_.least) / (up_.most - up_.least))};
}

void Chart::curve(const std::vector<Point>& values, const Series& series) {
  std::vector<Point> points(values.size());
  std::ranges::transform(values, points.begin(), [this](const Point& value) { return place(value); });
  scene_.add(Curve{.points = points, .colour = series.colour, .width = series.width, .stroke = series.stroke});
  legend_.push_back({.series = series, .is_dot = false});
}

void Chart::dot(const Point& value, const Series& series, double radius) {
  const Point at = place(value);
  scene_.add(Dot{.x = at.x, .y = at.y, .radius = radius, .fill = series.colour});
  legend_.push_back({.series = series, .is_dot = true});
}

Scene Chart::finish() {
  const double x = left + plot_width + 16;
  double y = top + 12;
  for (const auto& [series, is_dot] : legend_) {
    if (is_dot) {
      scene_.add(Dot{.x = x + 11, .y = y - 4, .radius = 5, .fill = series.colour});
    } else {
      scene_.add(Curve{.points = {{x, y - 4}, {x + 22, y - 4}},
                       .colour = series.colour,
                       .width = series.width,
                       .stroke = series.stroke});
    }
    scene_.add(Words{.x = x + 28, .y = y, .text = series.name, .colour = ink});
    y += legend_line;
  }
  return scene_;
}

}  // namespace bitreel
