// Frames and facts of a video file, through libav: what VideoWriter writes, and most other files too.
//
//   VideoReader video("clip.mp4");
//   while (const std::optional<Frame> frame = video.next()) judge(*frame);   // borrowed until the next call
//   const VideoInfo info = inspect_video("clip.mp4");                        // decodes all of it to count the frames
//
// PNG sequences open by pattern (frames/frame_%04d.png) or by folder (frames/, which means that pattern).
// YUV becomes RGB by the file's own tags; where it has none, bt601 and limited range, as players assume.
// Errors: Error when the file is missing, not a video, corrupt, or shorter than its header promises.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "pipelines/video/frame.h"

namespace bitreel {

struct VideoInfo {
  std::string container;     // libav's name: "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "gif", "image2"
  std::string codec;         // libav's name: "h264", "hevc", "vp9", "av1", "ffv1", "prores", "gif", "png"
  std::string pixel_format;  // libav's name: "yuv420p"
  int width = 0;
  int height = 0;
  double fps = 0;       // 0 when the file doesn't say (PNG sequences)
  double duration = 0;  // seconds; 0 when the file doesn't say
  // libav's names; "unknown" when the file doesn't say.
  std::string colour_primaries;
  std::string colour_transfer;
  std::string colour_space;
  std::string colour_range;            // "tv" is limited, "pc" full
  std::string comment;                 // the comment tag; for gif and png, the sidecar's text
  std::optional<std::int64_t> frames;  // as decoded; set by inspect_video alone
};

class VideoReader {
 public:
  explicit VideoReader(const std::filesystem::path& path);
  ~VideoReader();

  [[nodiscard]] const VideoInfo& info() const;
  std::optional<Frame> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

VideoInfo inspect_video(const std::filesystem::path& path);

}  // namespace bitreel
