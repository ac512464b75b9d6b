// A video file from 8-bit RGB frames, through libav; the whole way of a clip is push, push, push, finish.
//
//   check_output("out/clip.mp4", options, Sidecar::written);    // output.h: before any work
//   VideoWriter video("out/clip.mp4", {.fps = 8}, 128, 128, provenance);
//   for (const Frame& frame : frames) video.push(frame);
//   video.finish({{"seconds", 41.5}, {"events", video.events()}});
//
// The file is written beside (.clip.partial-PID.mp4, same folder) and renamed by finish(); a writer destroyed before
// that leaves nothing. Frames are encoded as they come; only gif keeps the clip, as 8-bit frames, for its palette.
// Colours: RGB is taken as full range with bt709 primaries. YUV codecs get bt709's matrix, limited range, chroma sited
// left, and say so in their tags; ffv1 and png keep the RGB bytes.
// Sizes: every size is stored as it is where the encoder can. 4:2:0 in h264 and h265, and 4:2:2 in prores, store whole
// chroma samples only: an odd width or height gets its last column or row repeated once (no pixel is changed or lost),
// and events() says so. 4:4:4 would keep the size, but few players open it.
// Frames have at least 16x16 pixels, 64x64 for h265 (codecs.cpp says why); png takes any.
// Provenance: JSON, in the container's comment tag and in a sidecar (clip.mp4.json, see sidecar_path). Null for
// neither; then encoders leave their own settings out too. gif and png hold no comment: the sidecar alone, and events()
// says so. The same frames and options make the same bytes on the same machine. Errors: Error (UsageError for options,
// as check_output) when the disk is full, an encoder refuses, a frame's size differs.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/video/frame.h"

namespace bitreel {

struct VideoOptions {
  double fps = 8;
  std::string codec = {};       // a name of codecs.h; empty: by the path's extension
  std::optional<int> crf = {};  // lower is better and larger; the codec's own standard when absent
};

class FrameSink;

class VideoWriter {
 public:
  VideoWriter(const std::filesystem::path& path, const VideoOptions& options, int width, int height,
              const nlohmann::ordered_json& provenance = nullptr);
  ~VideoWriter();

  void push(const Frame& frame);
  // outcome: what is known only now (times, events); its members join the provenance in the sidecar.
  void finish(const nlohmann::ordered_json& outcome = nullptr);

  // What differs from what a reader would expect, a sentence each: padding, a second-choice encoder, no comment.
  // Complete after construction.
  [[nodiscard]] const std::vector<std::string>& events() const { return events_; }

 private:
  std::filesystem::path path_;
  int width_;
  int height_;
  nlohmann::ordered_json provenance_;
  std::vector<std::string> events_;
  std::unique_ptr<FrameSink> sink_;  // empty after finish()
  std::int64_t frames_ = 0;
};

}  // namespace bitreel
