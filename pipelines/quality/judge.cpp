#include "pipelines/quality/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "base/error.h"
#include "pipelines/quality/segmentation.h"

namespace bitreel::quality {
namespace {

constexpr double farthest_colour = 40;  // Lab distance at which a colour stops being the palette's
constexpr double least_overlap = 0.7;   // below, the object is none of the shapes
constexpr double least_visible = 0.35;  // of the object, in a frame that counts
constexpr size_t shape_frames = 9;      // that the shape is read from, evenly over the clip

struct Named {
  std::string name;
  double margin = 0;  // 0: the next best is as near; 1: a perfect match
};

Named nearest_name(const std::vector<NamedColour>& palette, const cv::Vec3f& lab) {
  double best = std::numeric_limits<double>::max(), next = best;
  Named result;
  for (const NamedColour& colour : palette) {
    const double distance = cv::norm(colour.lab - lab);
    if (distance < best) {
      next = std::exchange(best, distance);
      result.name = colour.name;
    } else {
      next = std::min(next, distance);
    }
  }
  if (best > farthest_colour) return {};
  result.margin = 1 - best / next;
  return result;
}

// Nearest by ratio: what lies between medium and large is told apart halfway, in logarithms.
std::string nearest_size(const std::vector<NamedSize>& sizes, double radius) {
  return std::ranges::min_element(sizes, {}, [&](const NamedSize& s) { return std::abs(std::log(radius / s.radius)); })
      ->name;
}

std::string nearest_place(const std::vector<NamedPlace>& places, const Pose& pose) {
  const auto distance = [&](const NamedPlace& place) { return cv::norm(place.middle - cv::Point2d(pose.x, pose.y)); };
  return std::ranges::min_element(places, {}, distance)->name;
}

// Of an even number the larger middle one.
double upper_median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<size_t> frames_with_object(const Layer& layer) {
  std::vector<size_t> result;
  for (size_t t = 0; t < layer.area.size(); ++t)
    if (layer.area[t] > 0) result.push_back(t);
  return result;
}

std::optional<Shape> shape_of(const std::string& name, const Domain& domain) {
  const auto found = std::ranges::find(domain.shapes, name, [](Shape shape) { return name_of(shape); });
  return found == domain.shapes.end() ? std::nullopt : std::optional(*found);
}

struct ShapeVerdict {
  Shape shape;
  double margin = 0;
};

// The shape that leaves the least unexplained, over frames spread through the clip.
ShapeVerdict find_shape(const Layer& layer, const std::vector<size_t>& seen, const std::vector<Shape>& shapes) {
  double best = std::numeric_limits<double>::max(), next = best;
  Shape winner = shapes.front();
  for (const Shape shape : shapes) {
    double error = 0, energy = 0;
    for (size_t i = 0; i < std::min(shape_frames, seen.size()); ++i) {
      const size_t t = seen[i * seen.size() / std::min(shape_frames, seen.size())];
      const ShapeFit fit = fit_shape(shape, layer.patches[t], {});
      error += fit.error;
      energy += fit.energy;
    }
    const double unexplained = error / energy;
    if (unexplained < best) {
      next = std::exchange(best, unexplained);
      winner = shape;
    } else {
      next = std::min(next, unexplained);
    }
  }
  return {.shape = winner, .margin = 1 - best / next};
}

Track follow(const Layer& layer, const std::vector<size_t>& seen, Shape shape) {
  Track track{.frames = static_cast<int>(layer.patches.size()), .sightings = {}};
  for (const size_t t : seen) {
    std::vector<Pose> before;
    if (!track.sightings.empty()) before.push_back(track.sightings.back().pose);
    const ShapeFit fit = fit_shape(shape, layer.patches[t], before);
    if (fit.visible < least_visible) continue;
    track.sightings.push_back({.frame = static_cast<int>(t), .pose = fit.pose, .overlap = fit.overlap});
  }
  return track;
}

// All but motion and place, which are the clip's and the picture's.
std::optional<SeenObject> describe(const Layer& layer, const Domain& domain) {
  const std::vector<size_t> seen = frames_with_object(layer);
  if (seen.empty()) return std::nullopt;
  SeenObject object;
  const Named colour = nearest_name(domain.colours, layer.lab);
  object.colour = colour.name;
  object.stray = layer.stray;

  const ShapeVerdict verdict = find_shape(layer, seen, domain.shapes);
  object.track = follow(layer, seen, verdict.shape);
  if (object.track.sightings.empty()) return object;
  std::vector<double> overlaps, radii, edges;
  for (const Sighting& sighting : object.track.sightings) {
    overlaps.push_back(sighting.overlap);
    radii.push_back(sighting.pose.radius);
    edges.push_back(sighting.pose.edge_width);
  }
  object.overlap = upper_median(overlaps);
  object.radius = upper_median(radii);
  object.edge_width = upper_median(edges);
  if (object.overlap < least_overlap) return object;
  object.confidence = std::min(colour.margin, verdict.margin);
  object.shape = name_of(verdict.shape);
  object.size = nearest_size(domain.sizes, object.radius);
  return object;
}

// What frames show without regard to their order.
Judgement describe_all(const std::vector<cv::Mat>& frames, const Domain& domain, JudgeOptions options) {
  const Clip clip = prepare(frames);
  Judgement result;
  const std::optional<Background> background = find_background(clip);
  if (!background) return result;
  result.background = nearest_name(domain.backgrounds, background->lab).name;
  result.flicker = background->flicker;
  const std::vector<NamedColour> colours = find_object_colours(clip, *background, domain, options.objects);
  if (colours.empty()) return result;
  for (const Layer& layer : separate(clip, *background, colours))
    if (std::optional<SeenObject> object = describe(layer, domain)) result.objects.push_back(std::move(*object));
  return result;
}

void check(const std::vector<cv::Mat>& frames, JudgeOptions options) {
  if (options.objects < 1 || options.objects > 2)
    throw Error(fmt::format("the judge was told of {} objects, expected 1 or 2", options.objects));
  for (size_t t = 0; t < frames.size(); ++t) {
    if (frames[t].type() != CV_8UC3) throw Error(fmt::format("frame {} is not 8-bit RGB", t));
    if (frames[t].size() != frames[0].size())
      throw Error(fmt::format("frame {} is {}x{}, the first is {}x{}", t, frames[t].cols, frames[t].rows,
                              frames[0].cols, frames[0].rows));
  }
}

}  // namespace

Judgement judge(const std::vector<cv::Mat>& frames, const Domain& domain, JudgeOptions options) {
  check(frames, options);
  if (frames.size() < 4) throw Error(fmt::format("the judge got {} frames, expected at least 4", frames.size()));
  Judgement result = describe_all(frames, domain, options);
  for (SeenObject& object : result.objects) {
    const std::optional<Shape> shape = shape_of(object.shape, domain);
    if (!shape) continue;
    const std::optional<Motion> motion = find_motion(object.track, *shape);
    if (motion && std::ranges::count(domain.motions, *motion) > 0) object.motion = name_of(*motion);
  }
  return result;
}

Judgement judge_picture(const cv::Mat& picture, const Domain& domain, JudgeOptions options) {
  check({picture}, options);
  Judgement result = describe_all({picture}, domain, options);
  for (SeenObject& object : result.objects)
    if (!object.shape.empty()) object.place = nearest_place(domain.places, object.track.sightings[0].pose);
  if (options.objects == 1) {
    const Judgement two = describe_all({picture}, domain, {.objects = 2});
    const auto recognised = std::ranges::count_if(two.objects, [](const SeenObject& o) { return !o.shape.empty(); });
    result.others = recognised > 1 ? 1 : 0;
  }
  return result;
}

}  // namespace bitreel::quality
