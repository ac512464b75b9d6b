// The parts that charts share: a plotting area with axes, a legend.
//
//   Chart chart("Title", {.label = "step", .least = 0, .most = 30}, {.label = "error", .least = 0, .most = 0.2});
//   chart.curve({{0, .1}, {1, .2}}, {.name = "int4", .colour = {0, 114, 178}});
//   const Scene scene = chart.finish();
//
// Values are in the axes' units; the chart turns them into the scene's pixels.
#pragma once

#include <string>
#include <vector>

#include "app/reports/scene.h"

namespace bitreel {

struct Axis {
  std::string label;
  double least = 0, most = 1;
};

struct Series {
  std::string name;
  Colour colour;
  Stroke stroke = Stroke::solid;
  double width = 2;
};

// Round numbers from `least` to `most`, about `count` of them.
std::vector<double> ticks(double least, double most, int count);
// As many digits as tell ticks apart.
std::string tick_text(double value, double spacing);

class Chart {
 public:
  Chart(const std::string& title, Axis across, Axis up);

  void curve(const std::vector<Point>& values, const Series& series);
  void dot(const Point& value, const Series& series, double radius);
  [[nodiscard]] Scene finish();

 private:
  [[nodiscard]] Point place(const Point& value) const;

  Scene scene_;
  Axis across_, up_;
  struct LegendEntry {
    Series series;
    bool is_dot;
  };
  std::vector<LegendEntry> legend_;
};

}  // namespace bitreel
