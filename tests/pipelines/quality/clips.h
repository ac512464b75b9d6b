// The drawn clips of tests/data/drawn and stills of tests/data/stills with their truth, and ways to spoil them as video
// files and models do.
#pragma once

#include <functional>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "pipelines/quality/score.h"

namespace bitreel::quality {

using Frames = std::vector<cv::Mat>;  // CV_8UC3, RGB

const Domain& domain();
const std::vector<Expectation>& drawn_truth();
Frames drawn_frames(const Expectation& truth);
const std::vector<Expectation>& still_truth();
Frames still_frame(const Expectation& truth);  // one

// Judges every `stride`th drawn clip after `spoil`.
ScoreTable judge_drawn(size_t stride, const std::function<Frames(const Frames&)>& spoil);
// Judges every still after `spoil`.
ScoreTable judge_stills(const std::function<Frames(const Frames&)>& spoil);

Frames blurred(const Frames& frames, double sigma);
Frames noisy(const Frames& frames, double sigma);
Frames compressed(const Frames& frames, int crf);  // H.264 and back
// As a weak model paints: soft, with a ghost of two frames before, every colour a little off, blotches that waver.
Frames painted(const Frames& frames);

}  // namespace bitreel::quality
