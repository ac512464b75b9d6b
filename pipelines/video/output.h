// Where a clip goes: the checks made before any work, and files that are written beside and renamed when complete.
//
//   check_output("out/clip.mp4", options);        // throws; leaves nothing behind
//   Partial partial("out/clip.mp4");              // out/.clip.partial-4711.mp4, removed unless published
//   ... write partial.path() ...
//   partial.publish();                            // now out/clip.mp4, in one rename
//
// An output that exists is replaced, but only by a complete new one. PNG sequences are refused where one exists, so
// that frames of two clips never mix.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "pipelines/video/writer.h"

namespace bitreel {

// Throws UsageError for an unknown extension or codec, a codec that doesn't fit, an fps or crf out of range; Error
// when the folder is missing or not writable, the output is a folder or another thing that is not a file, or this
// libav lacks every encoder of the codec.
void check_output(const std::filesystem::path& path, const VideoOptions& options);

// The provenance file of a clip: clip.mp4 -> clip.json, frames/ -> frames/frame.json, a_%04d.png -> a.json.
std::filesystem::path sidecar_path(const std::filesystem::path& video);

class Partial {
 public:
  explicit Partial(const std::filesystem::path& target);
  ~Partial();  // removes what was not published, file or folder
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::filesystem::path& target() const { return target_; }
  void publish();

 private:
  std::filesystem::path target_;
  std::filesystem::path path_;
};

// Writes all of it or throws Error with the system's reason.
void write_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace bitreel
