#include <fmt/format.h>

#include "app/reports/scene.h"

namespace bitreel {
namespace {

std::string text_of(const Colour& colour) {
  return fmt::format("#{:02x}{:02x}{:02x}", colour.red, colour.green, colour.blue);
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      default:
        result += static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e ? '?' : c;
    }
  }
  return result;
}

struct Element {
  std::string operator()(const Box& box) const {
    return fmt::format("<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" fill=\"{}\"/>", box.x, box.y,
                       box.width, box.height, text_of(box.fill));
  }
  std::string operator()(const Curve& path) const {
    std::string points;
    for (const Point& point : path.points)
      points += fmt::format("{}{:.2f},{:.2f}", points.empty() ? "" : " ", point.x, point.y);
    return fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"{}/>", points,
                       text_of(path.colour), path.width,
                       path.stroke == Stroke::dashed ? " stroke-dasharray=\"5 4\"" : "");
  }
  std::string operator()(const Dot& dot) const {
    return fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"{}\" fill=\"{}\"/>", dot.x, dot.y, dot.radius,
                       text_of(dot.fill));
  }
  std::string operator()(const Words& words) const {
    const char* anchor = words.anchor == Anchor::start ? "start" : words.anchor == Anchor::middle ? "middle" : "end";
    const std::string turn = words.direction == Direction::upwards
                                 ? fmt::format(" transform=\"rotate(-90 {:.2f} {:.2f})\"", words.x, words.y)
                                 : std::string();
    return fmt::format("<text x=\"{:.2f}\" y=\"{:.2f}\" font-size=\"{}\" text-anchor=\"{}\" fill=\"{}\"{}>{}</text>",
                       words.x, words.y, words.size, anchor, text_of(words.colour), turn, escaped(words.text));
  }
};

}  // namespace

std::string to_svg(const Scene& scene) {
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"Helvetica, Arial, sans-serif\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
      scene.width, scene.height);
  for (const Shape& shape : scene.shapes) svg += std::visit(Element(), shape) + "\n";
  return svg + "</svg>\n";
}

}  // namespace bitreel
