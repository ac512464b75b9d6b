// The pictures of app/compare/report.h.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "app/compare/report.h"
#include "app/reports/contact_sheet.h"
#include "app/reports/side_by_side.h"
#include "pipelines/quality/frame_copy.h"
#include "pipelines/video/reader.h"
#include "pipelines/video/writer.h"

namespace bitreel {
namespace {

std::string figures_under(const nlohmann::ordered_json& facts, std::size_t frame) {
  const auto per_frame = facts.find("per_frame");
  if (per_frame == facts.end() || !per_frame->contains("psnr")) return {};
  return fmt::format("PSNR {:.1f} dB  SSIM {:.3f}", (*per_frame)["psnr"].at(frame).get<double>(),
                     (*per_frame)["ssim"].at(frame).get<double>());
}

}  // namespace

void write_side_by_side(const std::vector<SideBySideClip>& clips, const std::string& prompt,
                        const std::filesystem::path& folder, std::size_t index) {
  std::filesystem::create_directories(folder / "side-by-side");
  std::vector<std::unique_ptr<VideoReader>> readers;
  readers.reserve(clips.size());
  std::vector<std::vector<cv::Mat>> kept(clips.size());
  for (const SideBySideClip& clip : clips) readers.push_back(std::make_unique<VideoReader>(clip.frames));
  const auto frames = clips.front().facts.at("frames").get<std::size_t>();
  std::optional<VideoWriter> video;
  for (std::size_t i = 0; i < frames; ++i) {
    std::vector<LabelledFrame> cells;
    for (std::size_t c = 0; c < clips.size(); ++c) {
      const cv::Mat frame = copy_of(readers[c]->next().value());
      cells.push_back({.frame = frame, .lines = {clips[c].name, figures_under(clips[c].facts, i)}});
      const bool shown = i * (ContactSheet::shown - 1) / std::max<std::size_t>(1, frames - 1) >= kept[c].size();
      if (shown) kept[c].push_back(frame);
    }
    const cv::Mat grid = grid_of(cells);
    if (!video) {
      video.emplace(folder / "side-by-side" / fmt::format("clip-{:03}.mp4", index),
                    VideoOptions{.fps = readers.front()->info().fps}, grid.cols, grid.rows);
    }
    video->push({.rgb = grid.data, .width = grid.cols, .height = grid.rows});
  }
  video->finish();
  ContactSheet sheet;
  for (std::size_t c = 0; c < clips.size(); ++c) {
    sheet.add(kept[c], {{.text = prompt}, {.text = clips[c].name}});
  }
  sheet.save(folder / "side-by-side" / fmt::format("clip-{:03}.jpg", index));
}

}  // namespace bitreel
