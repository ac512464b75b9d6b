#include "app/commands/judged_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"
#include "pipelines/image/picture.h"
#include "pipelines/quality/frame_copy.h"
#include "pipelines/video/reader.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using quality::Domain;

std::string prompt_of(const std::string& provenance) {
  const auto json = parse_json_if_any(provenance);
  if (!json.is_object() || !json.contains("config") || !json["config"].is_object()) return {};
  const auto prompt = json["config"].find("prompt");
  return prompt != json["config"].end() && prompt->is_string() ? prompt->get<std::string>() : std::string();
}

// A still's provenance is in its sidecar.
std::string prompt_beside(const fs::path& file) {
  const fs::path sidecar = file.string() + ".json";
  std::error_code unknown;
  if (!fs::is_regular_file(sidecar, unknown)) return {};
  return prompt_of(read_file(sidecar, {.expected = "a sidecar"}));
}

void check_size(const fs::path& file, std::int64_t width, std::int64_t height, const Domain& domain) {
  if (width != domain.width || height != domain.height)
    throw Error(
        fmt::format("{} is {}x{}, the judge reads {}x{}", file.string(), width, height, domain.width, domain.height));
}

JudgedFile read_clip(const fs::path& path, const Domain& domain) {
  VideoReader video(path);
  const VideoInfo& info = video.info();
  check_size(path, info.width, info.height, domain);
  JudgedFile clip{.kind = JudgedKind::clip, .frames = {}, .caption = {}, .prompt = prompt_of(info.comment)};
  while (const std::optional<Frame> frame = video.next()) clip.frames.push_back(copy_of(*frame));
  if (static_cast<int>(clip.frames.size()) != domain.frames)
    throw Error(fmt::format("{} has {} frames, the judge reads {}", path.string(), clip.frames.size(), domain.frames));
  return clip;
}

JudgedFile read_still(const fs::path& path, const Domain& domain) {
  const Picture picture = read_picture(path);
  check_size(path, picture.width, picture.height, domain);
  return {.kind = JudgedKind::picture,
          .frames = {copy_of({.rgb = picture.rgb.data(),
                              .width = static_cast<int>(picture.width),
                              .height = static_cast<int>(picture.height)})},
          .caption = {},
          .prompt = prompt_beside(path)};
}

}  // namespace

JudgedKind judged_kind(const fs::path& file) {
  std::string extension = file.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  if (extension == ".txt") return JudgedKind::caption;
  constexpr std::array pictures{".png", ".jpg", ".jpeg", ".webp"};
  const bool picture = std::ranges::any_of(pictures, [&](const char* known) { return extension == known; });
  return picture ? JudgedKind::picture : JudgedKind::clip;
}

std::string read_caption_file(const fs::path& file) {
  const std::string text = read_file(file, {.expected = "a caption, as text"});
  constexpr const char* blanks = " \t\r\n";
  const size_t first = text.find_first_not_of(blanks);
  if (first == std::string::npos) throw Error(fmt::format("{} holds no caption", file.string()));
  return text.substr(first, text.find_last_not_of(blanks) + 1 - first);
}

JudgedFile read_judged(const fs::path& file, const Domain& domain) {
  switch (judged_kind(file)) {
    case JudgedKind::caption:
      return {.kind = JudgedKind::caption, .frames = {}, .caption = read_caption_file(file), .prompt = {}};
    case JudgedKind::picture:
      return read_still(file, domain);
    case JudgedKind::clip:
      break;
  }
  return read_clip(file, domain);
}

}  // namespace bitreel
