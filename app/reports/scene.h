// A drawing of boxes, lines, dots and words, rendered as SVG or as PNG from the same description.
//
//   Scene scene{.width = 640, .height = 360};
//   scene.add(Box{.x = 10, .y = 10, .width = 80, .height = 40, .fill = {0, 114, 178}});
//   scene.add(Words{.x = 320, .y = 20, .text = "score", .anchor = Anchor::middle});
//   write_whole("a.svg", to_svg(scene));   write_whole("a.png", to_png(scene));
//
// Units are pixels of the SVG, from the top left, y down; the PNG has twice as many each way. Later shapes cover
// earlier ones. Words are ASCII: the PNG's font has no more, and draws ? for the rest.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace bitreel {

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
  friend bool operator==(const Colour&, const Colour&) = default;
};

struct Point {
  double x = 0, y = 0;
};

struct Box {
  double x = 0, y = 0, width = 0, height = 0;
  Colour fill;
};

enum class Stroke { solid, dashed };

struct Curve {
  std::vector<Point> points;
  Colour colour;
  double width = 1;
  Stroke stroke = Stroke::solid;
};

struct Dot {
  double x = 0, y = 0, radius = 3;
  Colour fill;
};

enum class Anchor { start, middle, end };
enum class Direction { across, upwards };

// x, y: the baseline's point that the anchor names.
struct Words {
  double x = 0, y = 0;
  std::string text;
  double size = 12;  // of the font, in pixels
  Anchor anchor = Anchor::start;
  Direction direction = Direction::across;
  Colour colour = {40, 40, 40};
};

using Shape = std::variant<Box, Curve, Dot, Words>;

struct Scene {
  double width = 640, height = 360;
  std::vector<Shape> shapes = {};
  template <class T>
  void add(T shape) {
    shapes.emplace_back(std::move(shape));
  }
};

std::string to_svg(const Scene& scene);
std::string to_png(const Scene& scene);  // the file's bytes

}  // namespace bitreel
