// Which pixels of a clip belong to the background and which to the object of each colour.
//
//   const Clip clip = prepare(frames);
//   const std::optional<Background> background = find_background(clip);
//   const std::vector<NamedColour> colours = find_object_colours(clip, *background, domain, 1);
//   const std::vector<Layer> layers = separate(clip, *background, colours);
//   layers[0].patches[12];    // how the first object covers frame 12
//
// The background is the colour most of the clip is in. What differs from it most around, so is no edge, votes for the
// palette's colours; the object's colour is then measured, and every pixel of the object is explained as a mixture of
// background and object, so that soft and anti-aliased edges count in part.
#pragma once

#include <opencv2/core.hpp>
#include <optional>
#include <vector>

#include "pipelines/quality/domain.h"
#include "pipelines/quality/shape.h"

namespace bitreel::quality {

struct Clip {
  std::vector<cv::Mat> rgb;     // CV_32FC3, 0 to 1
  std::vector<cv::Mat> smooth;  // the same, slightly blurred
  std::vector<cv::Mat> lab;     // of smooth: noise in dark places looks like colour
};

struct Background {
  cv::Vec3f rgb, lab;                // over the whole clip
  std::vector<cv::Vec3f> per_frame;  // RGB
  std::vector<cv::Mat> foreground;   // CV_8U, 255 where a frame differs from the background
  std::vector<cv::Mat> pure;         // CV_32F, 1 where it differs as much as anywhere near, towards 0 at edges
  double flicker = 0;                // standard deviation over time of background pixels, in 8-bit levels
};

struct Layer {
  cv::Vec3f lab;               // the colour as measured
  std::vector<Patch> patches;  // one per frame; coverage all 0 where the object is not seen
  std::vector<double> area;    // covered pixels per frame
  double stray = 0;            // pixels of this colour beside the object, as a share of the object's
};

// Frames are CV_8UC3 in RGB order, all of one size.
[[nodiscard]] Clip prepare(const std::vector<cv::Mat>& frames);

// Nothing when no one colour fills enough of the clip, as in noise.
[[nodiscard]] std::optional<Background> find_background(const Clip& clip);

// At most `count` palette entries, the best supported first.
[[nodiscard]] std::vector<NamedColour> find_object_colours(const Clip& clip, const Background& background,
                                                           const Domain& domain, int count);

[[nodiscard]] std::vector<Layer> separate(const Clip& clip, const Background& background,
                                          const std::vector<NamedColour>& colours);

}  // namespace bitreel::quality
