#include "pipelines/video/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "pipelines/video/codecs.h"
#include "pipelines/video/encoder.h"
#include "pipelines/video/sequence.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

std::string system_reason(int code) {
  return std::generic_category().message(code);
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void check_options(const Codec& codec, const VideoOptions& options) {
  // Containers keep time as whole ticks; beyond 1000 fps no player follows.
  if (!(options.fps > 0 && options.fps <= 1000)) {
    throw UsageError(fmt::format("--fps {}: expected more than 0 and at most 1000", options.fps),
                     "8 is usual for CogVideoX");
  }
  if (codec.name == "gif" && options.fps > 50) {
    throw UsageError(fmt::format("--fps {}: players show gif at 50 fps at most", options.fps), "try --fps 50 or .webm");
  }
  if (options.crf && !codec.crf) {
    throw UsageError(fmt::format("--crf {}: {} has no such setting", *options.crf, codec.name), "leave --crf out");
  }
  if (options.crf && (*options.crf < 0 || *options.crf > codec.crf->worst)) {
    throw UsageError(fmt::format("--crf {}: {} takes 0 to {}", *options.crf, codec.name, codec.crf->worst),
                     fmt::format("{} is the standard", codec.crf->standard));
  }
}

// Asking for the permission bits is not enough: root may write anywhere but not on a read-only file system.
void check_writable(const fs::path& folder, const fs::path& output) {
  const fs::path probe = folder / fmt::format(".bitreel-probe-{}", getpid());
  const int file = open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    throw Error(
        fmt::format("--output {}: cannot write into {}: {}", output.string(), folder.string(), system_reason(errno)),
        "choose a folder that you may write into");
  }
  close(file);
  unlink(probe.c_str());
}

void check_folder(const fs::path& folder, const fs::path& output) {
  std::error_code failed;
  const fs::file_status status = fs::status(folder, failed);
  if (!fs::exists(status)) {
    throw Error(fmt::format("--output {}: the folder {} does not exist", output.string(), folder.string()),
                fmt::format("mkdir -p {}", folder.string()));
  }
  if (!fs::is_directory(status)) {
    throw Error(fmt::format("--output {}: {} is not a folder", output.string(), folder.string()));
  }
  check_writable(folder, output);
}

void check_file(const fs::path& path) {
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (fs::is_directory(status)) {
    throw Error(fmt::format("--output {}: is a folder, expected a file's name", path.string()),
                fmt::format("try {}/clip.mp4, or {}/ for a PNG sequence", path.string(), path.string()));
  }
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Error(fmt::format("--output {}: is not a file that can be replaced", path.string()), "choose another name");
  }
  if (fs::exists(status) && access(path.c_str(), W_OK) != 0) {
    throw Error(fmt::format("--output {}: exists and is read-only", path.string()), "choose another name");
  }
}

void check_sequence(const fs::path& path) {
  const SequenceName name = parse_sequence(path);
  // frames/ may be made by us; the folder of a pattern has to be there, as for a file.
  const bool made_by_us = !path.has_filename() && !fs::exists(name.folder);
  check_folder(made_by_us ? folder_of(name.folder) : name.folder, path);
  if (fs::exists(name.file(1))) {
    throw Error(
        fmt::format("--output {}: {} exists, and frames of two clips would mix", path.string(), name.file(1).string()),
        "remove those frames or choose another name");
  }
}

}  // namespace

void check_output(const fs::path& path, const VideoOptions& options) {
  if (path.empty()) throw UsageError("--output: is empty, expected a file's name", "try clip.mp4");
  if (path.has_filename()) check_file(path);
  const Codec& codec = choose_codec(path, options.codec);
  check_options(codec, options);
  check_encoder(codec);
  if (is_sequence(path)) {
    check_sequence(path);
  } else {
    check_folder(folder_of(path), path);
  }
  check_file(sidecar_path(path));
}

std::vector<std::string> check_output(const fs::path& path, const VideoOptions& options, int width, int height) {
  check_output(path, options);
  std::vector<std::string> events;
  if (!is_sequence(path)) {
    keep_libav_log();
    open_encoder(choose_codec(path, options.codec), options, width, height, GlobalHeader::yes, events);
  }
  return events;
}

fs::path sidecar_path(const fs::path& video) {
  return is_sequence(video) ? parse_sequence(video).sidecar() : fs::path(video).replace_extension(".json");
}

}  // namespace bitreel
