// What is measured of one clip's frames: how far they are from the baseline's, how they move and flicker.
//
//   const ClipMeasures measures = measure_clip("int8-000.mkv", "full-000.mkv");
//   measures.psnr[7];   // of frame 7, in dB
//
// Frames are read from the disk in pairs, never a whole clip at once. Metrics: pipelines/quality/frame_metrics.h and
// temporal.h. Errors: Error when the two clips differ in size or length, saying how.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <vector>

namespace bitreel {

struct ClipMeasures {
  std::int64_t frames = 0;
  int width = 0, height = 0;
  double fps = 0;
  std::vector<double> motion = {}, flicker = {};  // between frames i and i + 1
  // Against the baseline; empty without one.
  std::vector<double> psnr = {}, ssim = {};
  std::int64_t worst_frame = 0;  // of the lowest SSIM
  cv::Mat difference = {};       // of that frame (app/reports/side_by_side.h)
};

ClipMeasures measure_clip(const std::filesystem::path& clip, const std::filesystem::path& baseline = {});

// {"frames", "fps", "width", "height", "per_frame": {"motion", "flicker", "psnr", "ssim"}, "motion", "flicker", "psnr",
// "ssim", "worst_frame"}: means over frames beside the lists; what was not measured is left out.
nlohmann::ordered_json json_of(const ClipMeasures& measures);

}  // namespace bitreel
