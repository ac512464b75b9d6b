// The six shapes as formulas, and the pose (place, radius, angle, softness of the edge) that explains a picture best.
//
//   const ShapeFit fit = fit_shape(Shape::star, patch, {});
//   fit.pose.x;    // -1 at the left edge of the picture, 1 at the right
//   fit.error;     // 0: explains every pixel
//
// A patch holds how much of each pixel the object covers (0 to 1) and how much that pixel counts: 0 where something
// else is in front. Because the whole shape is fitted, an object half outside the picture or half behind another keeps
// its true middle and radius. Least squares by Gauss-Newton with numerical derivatives; the start comes from the
// moments.
#pragma once

#include <opencv2/core.hpp>
#include <span>

namespace bitreel::quality {

enum class Shape { circle, square, triangle, star, ring, cross };

struct Pose {
  double x = 0, y = 0;    // middle, in half picture widths and heights from the picture's middle; y grows downwards
  double radius = 0;      // in half picture widths
  double angle = 0;       // radians, clockwise on the screen; 0: a triangle and a star point up
  double edge_width = 1;  // pixels from covered to uncovered; 1 as drawn
};

struct Patch {
  cv::Mat coverage;  // CV_32F, the whole picture
  cv::Mat weight;    // CV_32F, 0 to 1
};

struct ShapeFit {
  Pose pose;
  double error = 0;    // weighted squared residual
  double energy = 0;   // weighted squared coverage: error / energy compares shapes
  double overlap = 0;  // soft intersection over union of picture and fitted shape
  double visible = 0;  // how much of the fitted shape lies inside the picture on pixels that count
};

// `also` adds starts for the pose to the one from the moments: the previous frame's, say.
[[nodiscard]] ShapeFit fit_shape(Shape shape, const Patch& patch, std::span<const Pose> also);

// The angle after which the shape looks the same: 2 pi / 3 for a triangle; 0 for circle and ring, which have none.
[[nodiscard]] double symmetry_angle(Shape shape);

}  // namespace bitreel::quality
