// How an object moves, told from its track: where it was, how large and how turned in every frame.
//
//   const std::optional<Motion> motion = find_motion(track, Shape::square);
//
// Nothing when the track is too short or fits none of the motions: a jump, a zigzag, a diagonal.
// What is asked, in this order: does it travel (along one axis and onwards, there and back along the vertical, or
// round), else does its radius change, else does it turn, else it is still.
#pragma once

#include <optional>
#include <vector>

#include "pipelines/quality/domain.h"
#include "pipelines/quality/shape.h"

namespace bitreel::quality {

struct Sighting {
  int frame = 0;
  Pose pose;
  double overlap = 0;  // of the fitted shape with what was seen
};

struct Track {
  int frames = 0;                   // of the clip; the object may be missing in some
  std::vector<Sighting> sightings;  // in order
};

[[nodiscard]] std::optional<Motion> find_motion(const Track& track, Shape shape);

}  // namespace bitreel::quality
