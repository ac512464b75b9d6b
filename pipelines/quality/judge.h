// What a clip of the default model shows, read from its pixels: the judge knows the vocabulary, not the prompt.
//
//   const Domain domain = Domain::read("assets/pocket/domain.json");
//   const Judgement seen = judge(frames, domain, {.objects = 1});
//   seen.objects[0].colour;   // "red"; empty when nothing the domain knows was recognised
//
// Frames are CV_8UC3 in RGB order, at least four, all of one size; anything else throws Error. The number of objects is
// the only thing the judge is told; it reports at most that many, and fewer when it does not find them.
#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "pipelines/quality/domain.h"
#include "pipelines/quality/motion.h"

namespace bitreel::quality {

struct SeenObject {
  std::string colour, shape, size, motion;  // names from the domain; empty: not recognised
  double confidence = 0;                    // 0 to 1: how far colour and shape are from the next best
  double overlap = 0;                       // 0 to 1: what was seen over the shape it was taken for
  double radius = 0;                        // half picture widths, in the middle of the clip
  double edge_width = 0;                    // pixels; about 1 as drawn, more when blurred
  double stray = 0;                         // pixels of its colour beside it, as a share of its own
  Track track;
};

struct Judgement {
  std::string background;  // empty: not recognised
  std::vector<SeenObject> objects;
  double flicker = 0;  // standard deviation of the background over time, in 8-bit levels
};

struct JudgeOptions {
  int objects = 1;  // 1 or 2
};

[[nodiscard]] Judgement judge(const std::vector<cv::Mat>& frames, const Domain& domain, JudgeOptions options);

}  // namespace bitreel::quality
