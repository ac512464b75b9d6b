// What a clip or a still picture of the default models shows, read from its pixels: the judge knows the vocabulary, not
// the prompt.
//
//   const Domain domain = Domain::read("assets/pocket/domain.json");
//   const Judgement seen = judge(frames, domain, {.objects = 1});
//   seen.objects[0].colour;   // "red"; empty when nothing the domain knows was recognised
//   judge_picture(frames[0], domain, {.objects = 1}).objects[0].place;   // "center"
//
// Frames are CV_8UC3 in RGB order, at least four, all of one size; anything else throws Error. The number of objects is
// the only thing the judge is told; it reports at most that many, and fewer when it does not find them. Objects of a
// clip have a motion, those of a picture a place. In a picture a second object that nobody told of is counted.
#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "pipelines/quality/domain.h"
#include "pipelines/quality/motion.h"

namespace bitreel::quality {

struct SeenObject {
  std::string colour, shape, size, motion, place;  // names from the domain; empty: not recognised
  double confidence = 0;                           // 0 to 1: how far colour and shape are from the next best
  double overlap = 0;                              // 0 to 1: what was seen over the shape it was taken for
  double radius = 0;                               // half picture widths, in the middle of the clip
  double edge_width = 0;                           // pixels; about 1 as drawn, more when blurred
  double stray = 0;                                // pixels of its colour beside it, as a share of its own
  Track track;
};

struct Judgement {
  std::string background;  // empty: not recognised
  std::vector<SeenObject> objects;
  double flicker = 0;  // standard deviation of the background over time, in 8-bit levels
  int others = 0;      // objects of the domain's shapes and colours in a picture, beyond those told of
};

struct JudgeOptions {
  int objects = 1;  // 1 or 2
};

[[nodiscard]] Judgement judge(const std::vector<cv::Mat>& frames, const Domain& domain, JudgeOptions options);
[[nodiscard]] Judgement judge_picture(const cv::Mat& picture, const Domain& domain, JudgeOptions options);

}  // namespace bitreel::quality
