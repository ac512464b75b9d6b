// Where a clip goes: the checks made before any work, and the name of its sidecar.
//
//   check_output("out/clip.mp4", options, Sidecar::written);   // throws; leaves nothing behind
//   check_space("out/clip.mp4", expected_bytes("out/clip.mp4", options, 720, 480, 49));
//
// A file that exists is replaced, but only by a complete new one. A PNG sequence is refused where one exists, so that
// the frames of two clips never mix. So is a file with the sidecar's name that is no sidecar: it is somebody's own.
// Errors: UsageError for an unknown extension or codec, a codec that doesn't fit, an fps or crf out of range; Error
// when the folder is missing or not writable, too full for the clip or the name too long for it, the output is a folder
// or another thing that is no file, or this machine's libav lacks every encoder of the codec.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipelines/video/writer.h"

namespace bitreel {

// Whether provenance is written beside the video.
enum class Sidecar { none, written };

void check_output(const std::filesystem::path& path, const VideoOptions& options, Sidecar sidecar);

// The same, and whether the encoder takes frames of this size. Returns what VideoWriter::events() will be, but for the
// provenance: what a plan can show before the work.
std::vector<std::string> check_output(const std::filesystem::path& path, const VideoOptions& options, Sidecar sidecar,
                                      int width, int height);

// For results that are no videos: whether a file of this name can be written, and its sidecar, out.png.json.
void check_still_output(const std::filesystem::path& path, Sidecar sidecar);
std::filesystem::path still_sidecar_path(const std::filesystem::path& path);

// How large a clip's file may be: a guess on the small side, by what frames of drawn and filmed pictures take.
std::uintmax_t expected_bytes(const std::filesystem::path& path, const VideoOptions& options, int width, int height,
                              std::int64_t frames);
// Error when the folder's disk has fewer bytes free.
void check_space(const std::filesystem::path& path, std::uintmax_t bytes);

// The provenance file of a clip: clip.mp4 -> clip.mp4.json, frames/ -> frames/frame.json, a_%04d.png -> a.json.
std::filesystem::path sidecar_path(const std::filesystem::path& video);

// Whether JSON is what Bitreel writes about a clip: the version that made it, and its settings.
bool is_provenance(const nlohmann::ordered_json& json);

}  // namespace bitreel
