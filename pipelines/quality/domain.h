// The world of the models that come with Bitreel, read from assets/pocket/domain.json: the judge's vocabulary.
//
//   const Domain domain = Domain::read("assets/pocket/domain.json");
//   domain.colours[0].name;   // "blue"
//
// Colours are RGB from 0 to 1; a size is a shape's radius in half picture widths, so 1 reaches from the middle to the
// edge; a place is where a still object's middle is, from -1 to 1 both ways, y downwards. `words` are the ways to say a
// name, the plain one first; what the file does not list is said by its name. The file is read strictly: a missing or
// unknown key, a colour outside 0..1, a shape or a motion the judge has no eye for, words for a name that the domain
// does not hold are errors that name the file and the key.
#pragma once

#include <filesystem>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "pipelines/quality/shape.h"

namespace bitreel::quality {

struct NamedColour {
  std::string name;
  cv::Vec3f rgb;  // 0 to 1
  cv::Vec3f lab;  // CIE L*a*b*, as OpenCV computes it from sRGB values
};

struct NamedSize {
  std::string name;
  double radius = 0;
};

struct NamedPlace {
  std::string name;
  cv::Point2d middle;
};

// The ways to say one name: "circle", "disc", "ball".
struct Wording {
  std::string name;
  std::vector<std::string> ways;
};

struct Words {
  std::vector<Wording> colours, backgrounds, shapes, sizes, motions, places;
};

enum class Motion { left, right, up, down, bounce, orbit, grow, shrink, spin, still };

struct Domain {
  int width = 0, height = 0, frames = 0;
  double fps = 0;
  std::vector<NamedColour> colours, backgrounds;
  std::vector<Shape> shapes;
  std::vector<NamedSize> sizes;  // from small to large
  std::vector<Motion> motions;
  std::vector<NamedPlace> places;
  Words words;

  static Domain read(const std::filesystem::path& file);
};

[[nodiscard]] std::string name_of(Shape shape);
[[nodiscard]] std::string name_of(Motion motion);
[[nodiscard]] cv::Vec3f lab_of(const cv::Vec3f& rgb);

}  // namespace bitreel::quality
