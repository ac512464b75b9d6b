// Where a clip goes: the checks made before any work, and the name of its sidecar.
//
//   check_output("out/clip.mp4", options);   // throws; leaves nothing behind
//
// A file that exists is replaced, but only by a complete new one. A PNG sequence is refused where one exists, so that
// the frames of two clips never mix.
// Errors: UsageError for an unknown extension or codec, a codec that doesn't fit, an fps or crf out of range; Error
// when the folder is missing or not writable, the output is a folder or another thing that is no file, or this
// machine's libav lacks every encoder of the codec.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/video/writer.h"

namespace bitreel {

void check_output(const std::filesystem::path& path, const VideoOptions& options);

// The same, and whether the encoder takes frames of this size. Returns what VideoWriter::events() will be, but for the
// provenance: what a plan can show before the work.
std::vector<std::string> check_output(const std::filesystem::path& path, const VideoOptions& options, int width,
                                      int height);

// The provenance file of a clip: clip.mp4 -> clip.json, frames/ -> frames/frame.json, a_%04d.png -> a.json.
std::filesystem::path sidecar_path(const std::filesystem::path& video);

}  // namespace bitreel
