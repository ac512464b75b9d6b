#include "pipelines/video/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"
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
    throw UsageError(fmt::format("`fps` {}: expected more than 0 and at most 1000", options.fps),
                     "8 is usual for CogVideoX");
  }
  if (codec.name == "gif" && options.fps > 50) {
    throw UsageError(fmt::format("`fps` {}: players show gif at 50 fps at most", options.fps), "try `fps` 50 or .webm");
  }
  if (options.crf && !codec.crf) {
    throw UsageError(fmt::format("`crf` {}: {} has no such setting", *options.crf, codec.name), "leave `crf` out");
  }
  if (options.crf && (*options.crf < 0 || *options.crf > codec.crf->worst)) {
    throw UsageError(fmt::format("`crf` {}: {} takes 0 to {}", *options.crf, codec.name, codec.crf->worst),
                     fmt::format("{} is the standard", codec.crf->standard));
  }
}

// Asking for the permission bits is not enough: root may write anywhere but not on a read-only file system.
// Nor is a short name: beside clip.mp4 a run keeps clip.unfinished.safetensors, and the probe's name is as long as
// that.
void check_writable(const fs::path& folder, const fs::path& output) {
  constexpr std::string_view longest_extension = ".unfinished.safetensors";
  std::string name = fmt::format(".bitreel-probe-{}", gettid());  // clips side by side probe one folder at once
  const std::size_t length = output.stem().string().size() + longest_extension.size();
  if (name.size() < length) name.append(length - name.size(), '-');
  const fs::path probe = folder / name;
  const int file = open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0 && errno == ENAMETOOLONG) {
    throw Error(fmt::format("`output` {}: the name is too long: what is kept beside it would have {} bytes",
                            output.string(), length),
                "choose a shorter one");
  }
  if (file < 0) {
    throw Error(
        fmt::format("`output` {}: cannot write into {}: {}", output.string(), folder.string(), system_reason(errno)),
        "choose a folder that you may write into");
  }
  close(file);
  unlink(probe.c_str());
}

void check_folder(const fs::path& folder, const fs::path& output) {
  std::error_code failed;
  const fs::file_status status = fs::status(folder, failed);
  if (!fs::exists(status)) {
    throw Error(fmt::format("`output` {}: the folder {} does not exist", output.string(), folder.string()),
                fmt::format("mkdir -p {}", folder.string()));
  }
  if (!fs::is_directory(status)) {
    throw Error(fmt::format("`output` {}: {} is not a folder", output.string(), folder.string()));
  }
  check_writable(folder, output);
}

void check_file(const fs::path& path) {
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (fs::is_directory(status)) {
    throw Error(fmt::format("`output` {}: is a folder, expected a file's name", path.string()),
                fmt::format("try {}/clip.mp4, or {}/ for a PNG sequence", path.string(), path.string()));
  }
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Error(fmt::format("`output` {}: is not a file that can be replaced", path.string()), "choose another name");
  }
  if (fs::exists(status) && access(path.c_str(), W_OK) != 0) {
    throw Error(fmt::format("`output` {}: exists and is read-only", path.string()), "choose another name");
  }
}

// What stands there must be a sidecar of ours, or nothing.
void check_sidecar(const fs::path& path) {
  check_file(path);
  if (!fs::exists(path)) return;
  std::string text;
  const std::string obstacle = read_into(text, path, {});
  if (obstacle.empty() && is_provenance(parse_json_if_any<nlohmann::ordered_json>(text))) return;
  throw Error(fmt::format("{} exists and is no sidecar of a clip: it would be overwritten", path.string()),
              "choose another `output`, or `no_metadata` for none");
}

void check_sequence(const fs::path& path) {
  const SequenceName name = parse_sequence(path);
  // frames/ may be made by us; the folder of a pattern has to be there, as for a file.
  const bool made_by_us = !path.has_filename() && !fs::exists(name.folder);
  check_folder(made_by_us ? folder_of(name.folder) : name.folder, path);
  if (fs::exists(name.file(1))) {
    throw Error(
        fmt::format("`output` {}: {} exists, and frames of two clips would mix", path.string(), name.file(1).string()),
        "remove those frames or choose another name");
  }
}

}  // namespace

void check_output(const fs::path& path, const VideoOptions& options, Sidecar sidecar) {
  if (path.empty()) throw UsageError("`output`: is empty, expected a file's name", "try clip.mp4");
  if (path.has_filename()) check_file(path);
  const Codec& codec = choose_codec(path, options.codec);
  check_options(codec, options);
  check_encoder(codec);
  if (is_sequence(path)) {
    check_sequence(path);
  } else {
    check_folder(folder_of(path), path);
  }
  if (sidecar == Sidecar::written) check_sidecar(sidecar_path(path));
}

std::vector<std::string> check_output(const fs::path& path, const VideoOptions& options, Sidecar sidecar, int width,
                                      int height) {
  check_output(path, options, sidecar);
  std::vector<std::string> events;
  if (!is_sequence(path)) {
    keep_libav_log();
    open_encoder(choose_codec(path, options.codec), options, width, height, GlobalHeader::yes, events);
  }
  return events;
}

void check_still_output(const fs::path& path, Sidecar sidecar) {
  check_file(path);
  check_folder(folder_of(path), path);
  if (sidecar == Sidecar::written) check_sidecar(still_sidecar_path(path));
}

fs::path still_sidecar_path(const fs::path& path) {
  return path.string() + ".json";
}

std::uintmax_t expected_bytes(const fs::path& path, const VideoOptions& options, int width, int height,
                              std::int64_t frames) {
  const auto raw = static_cast<std::uintmax_t>(width) * static_cast<std::uintmax_t>(height) * 3 *
                   static_cast<std::uintmax_t>(frames);
  constexpr std::uintmax_t lossless_share = 4, lossy_share = 50;  // one part of so many
  return raw / (choose_codec(path, options.codec).fidelity == Fidelity::lossless ? lossless_share : lossy_share);
}

void check_space(const fs::path& path, std::uintmax_t bytes) {
  const fs::path folder = folder_of(path);
  std::error_code unknown;
  const std::uintmax_t available = fs::space(folder, unknown).available;
  if (unknown || available >= bytes) return;
  throw Error(fmt::format("`output` {}: {} has {} MiB free, this clip may take {} MiB while it is made", path.string(),
                          folder.string(), available >> 20, (bytes >> 20) + 1),
              "make room, or choose a folder on another disk");
}

fs::path sidecar_path(const fs::path& video) {
  return is_sequence(video) ? parse_sequence(video).sidecar() : fs::path(video.string() + ".json");
}

bool is_provenance(const nlohmann::ordered_json& json) {
  const auto is = [&](const char* key, bool (nlohmann::ordered_json::*kind)() const noexcept) {
    const auto found = json.find(key);
    return found != json.end() && ((*found).*kind)();
  };
  using Json = nlohmann::ordered_json;
  return json.is_object() && is("bitreel", &Json::is_string) && is("config", &Json::is_object);
}

}  // namespace bitreel
