// How a clip moves and flickers, told from two frames that follow each other.
//
//   const FrameStep step = frame_step(frames[i], frames[i + 1]);   // cv::Mat, CV_8UC3 in RGB order, one size
//   const double pixels = step.motion;
//
// motion: mean length of the optical flow in pixels, by Lucas and Kanade's method (1981) in Gaussian windows from
// coarse to fine; plain surfaces count as still. (OpenCV's own flow is in a library that loads protobuf, which
// SentencePiece's copy of protobuf crashes.) flicker: what is left when the later frame is compared with the earlier
// one moved along that flow, root mean square in 8-bit levels over pixels whose source lies within the frame (warping
// error: Lai et al. 2018, arXiv 1808.00449, section 3.2, without its occlusion mask). A clip that only moves has
// little; one whose colours jump has much. Errors: Error when sizes or types differ.
#pragma once

#include <opencv2/core.hpp>

namespace bitreel::quality {

struct FrameStep {
  double motion = 0;   // pixels
  double flicker = 0;  // 8-bit levels
};

FrameStep frame_step(const cv::Mat& before, const cv::Mat& after);

}  // namespace bitreel::quality
