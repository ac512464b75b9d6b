#include "tests/pipelines/quality/clips.h"

#include <algorithm>
#include <filesystem>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "pipelines/quality/frame_copy.h"
#include "pipelines/video/reader.h"
#include "pipelines/video/writer.h"
#include "tests/temporary_folder.h"

namespace bitreel::quality {
namespace {

const std::filesystem::path drawn_folder = "tests/data/drawn", stills_folder = "tests/data/stills";

Frames read_frames(const std::filesystem::path& path) {
  VideoReader video(path);
  Frames frames;
  while (const std::optional<Frame> frame = video.next()) frames.push_back(copy_of(*frame));
  return frames;
}

cv::Mat random_picture(cv::RNG& random, cv::Size size, double sigma) {
  cv::Mat picture(size, CV_32FC3);
  random.fill(picture, cv::RNG::NORMAL, 0, sigma);
  return picture;
}

}  // namespace

const Domain& domain() {
  static const Domain read = Domain::read("assets/pocket/domain.json");
  return read;
}

const std::vector<Expectation>& drawn_truth() {
  static const std::vector<Expectation> read = read_expectations(drawn_folder / "labels.json", domain());
  return read;
}

Frames drawn_frames(const Expectation& truth) {
  return read_frames(drawn_folder / truth.file);
}

const std::vector<Expectation>& still_truth() {
  static const std::vector<Expectation> read = read_expectations(stills_folder / "labels.json", domain());
  return read;
}

Frames still_frame(const Expectation& truth) {
  return read_frames(stills_folder / truth.file);
}

ScoreTable judge_stills(const std::function<Frames(const Frames&)>& spoil) {
  ScoreTable table;
  for (const Expectation& truth : still_truth()) {
    const int objects = static_cast<int>(truth.objects.size());
    table.add(compare(truth, judge_picture(spoil(still_frame(truth))[0], domain(), {.objects = objects})));
  }
  return table;
}

ScoreTable judge_drawn(size_t stride, const std::function<Frames(const Frames&)>& spoil) {
  ScoreTable table;
  for (size_t i = 0; i < drawn_truth().size(); i += stride) {
    const Expectation& truth = drawn_truth()[i];
    const int objects = static_cast<int>(truth.objects.size());
    table.add(compare(truth, judge(spoil(drawn_frames(truth)), domain(), {.objects = objects})));
  }
  return table;
}

Frames blurred(const Frames& frames, double sigma) {
  Frames result;
  for (const cv::Mat& frame : frames) cv::GaussianBlur(frame, result.emplace_back(), {0, 0}, sigma);
  return result;
}

Frames noisy(const Frames& frames, double sigma) {
  cv::RNG random(7);
  Frames result;
  for (const cv::Mat& frame : frames)
    cv::add(frame, random_picture(random, frame.size(), sigma), result.emplace_back(), cv::noArray(), CV_8U);
  return result;
}

Frames compressed(const Frames& frames, int crf) {
  const test::TemporaryFolder folder;
  {
    VideoWriter video(folder / "clip.mp4", {.fps = 8, .codec = "h264", .crf = crf}, frames[0].cols, frames[0].rows);
    for (const cv::Mat& frame : frames) video.push({.rgb = frame.data, .width = frame.cols, .height = frame.rows});
    video.finish();
  }
  return read_frames(folder / "clip.mp4");
}

Frames painted(const Frames& frames) {
  cv::RNG random(11);
  const cv::Mat tint = random_picture(random, {1, 1}, 8);
  const Frames soft = blurred(frames, 1.2);
  Frames result;
  for (size_t t = 0; t < soft.size(); ++t) {
    cv::Mat mixed, blotches;
    cv::addWeighted(soft[t], 0.8, soft[t < 2 ? 0 : t - 2], 0.2, 0, mixed, CV_32F);
    cv::resize(random_picture(random, {8, 8}, 9), blotches, mixed.size(), 0, 0, cv::INTER_CUBIC);
    mixed += blotches + cv::Scalar(cv::Vec<double, 3>(tint.at<cv::Vec3f>(0)));
    mixed.convertTo(result.emplace_back(), CV_8U);
  }
  return result;
}

}  // namespace bitreel::quality
