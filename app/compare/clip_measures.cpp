#include "app/compare/clip_measures.h"

#include <fmt/format.h>

#include <optional>

#include "app/reports/side_by_side.h"
#include "base/error.h"
#include "base/statistics.h"
#include "pipelines/quality/frame_copy.h"
#include "pipelines/quality/frame_metrics.h"
#include "pipelines/quality/temporal.h"
#include "pipelines/video/reader.h"

namespace bitreel {
namespace {

void compare_frames(const cv::Mat& reference, const cv::Mat& frame, ClipMeasures& measures) {
  const quality::FrameDifference d = quality::frame_difference(reference, frame);
  if (measures.ssim.empty() || d.ssim < measures.ssim[static_cast<std::size_t>(measures.worst_frame)]) {
    measures.worst_frame = measures.frames;
    measures.difference = difference_of(reference, frame);
  }
  measures.psnr.push_back(d.psnr);
  measures.ssim.push_back(d.ssim);
}

void check_sizes(const VideoInfo& clip, const VideoInfo& baseline, const std::filesystem::path& path,
                 const std::filesystem::path& baseline_path) {
  if (clip.width == baseline.width && clip.height == baseline.height) return;
  throw Error(fmt::format("{} is {}x{}, {} is {}x{}", path.string(), clip.width, clip.height, baseline_path.string(),
                          baseline.width, baseline.height),
              "clips of one size can be compared; scale one of them first");
}

}  // namespace

ClipMeasures measure_clip(const std::filesystem::path& clip, const std::filesystem::path& baseline) {
  VideoReader video(clip);
  std::optional<VideoReader> reference;
  if (!baseline.empty()) {
    reference.emplace(baseline);
    check_sizes(video.info(), reference->info(), clip, baseline);
  }
  ClipMeasures measures{.width = video.info().width, .height = video.info().height, .fps = video.info().fps};
  cv::Mat before;
  while (const std::optional<Frame> lent = video.next()) {
    const cv::Mat frame = copy_of(*lent);
    if (reference) {
      const std::optional<Frame> expected = reference->next();
      if (!expected) {
        throw Error(
            fmt::format("{} is longer than {}, which has {} frames", clip.string(), baseline.string(), measures.frames),
            "clips of one length can be compared; cut the longer one first");
      }
      compare_frames(copy_of(*expected), frame, measures);
    }
    if (!before.empty()) {
      const quality::FrameStep step = quality::frame_step(before, frame);
      measures.motion.push_back(step.motion);
      measures.flicker.push_back(step.flicker);
    }
    before = frame;
    ++measures.frames;
  }
  if (reference && reference->next()) {
    throw Error(fmt::format("{} has {} frames, {} has more", clip.string(), measures.frames, baseline.string()),
                "clips of one length can be compared; cut the longer one first");
  }
  return measures;
}

nlohmann::ordered_json json_of(const ClipMeasures& measures) {
  nlohmann::ordered_json json = {
      {"frames", measures.frames}, {"fps", measures.fps}, {"width", measures.width}, {"height", measures.height}};
  nlohmann::ordered_json& per_frame = json["per_frame"];
  const auto add = [&](const char* name, const std::vector<double>& values) {
    if (values.empty()) return;
    per_frame[name] = values;
    json[name] = mean(values);
  };
  add("psnr", measures.psnr);
  add("ssim", measures.ssim);
  add("motion", measures.motion);
  add("flicker", measures.flicker);
  if (!measures.ssim.empty()) json["worst_frame"] = measures.worst_frame;
  return json;
}

}  // namespace bitreel
