#include "app/files/output_files.h"

#include <fmt/format.h>

#include "base/error.h"
#include "pipelines/image/picture.h"
#include "pipelines/video/output.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

constexpr const char* text_extension = ".txt";

bool makes(const Mode& mode, Medium medium) {
  return mode.makes.contains(medium);
}

}  // namespace

const char* default_extension(const Mode& mode) {
  if (makes(mode, Medium::video)) return ".mp4";
  return makes(mode, Medium::image) ? ".png" : text_extension;
}

std::vector<fs::path> OutputFiles::all() const {
  std::vector<fs::path> files;
  if (!video.empty()) files.push_back(video);
  files.insert(files.end(), pictures.begin(), pictures.end());
  files.insert(files.end(), texts.begin(), texts.end());
  return files;
}

fs::path output_for(const fs::path& asked, const Mode& mode, std::uint64_t seed) {
  if (asked.empty()) return fmt::format("bitreel-{}{}", seed, default_extension(mode));
  if (makes(mode, Medium::video)) return asked;
  if (!asked.has_filename()) {
    throw UsageError(fmt::format("--output {}: is a folder, and mode {} makes files", asked.string(), mode.name),
                     fmt::format("try {}out{}", asked.string(), default_extension(mode)));
  }
  if (asked.extension().empty()) return asked.string() + default_extension(mode);
  if (!makes(mode, Medium::image)) {
    if (asked.extension() == text_extension) return asked;
    throw UsageError(fmt::format("--output {}: mode {} makes a text", asked.string(), mode.name),
                     fmt::format("end the name in {}", text_extension));
  }
  // Both have one name, and the text's says as much.
  if (makes(mode, Medium::text) && asked.extension() == text_extension)
    return fs::path(asked).replace_extension(".png");
  check_can_be_written(asked);
  return asked;
}

fs::path numbered(const fs::path& path, std::int64_t sample, std::int64_t count) {
  if (count == 1) return path;
  fs::path name = path;
  return name.replace_filename(fmt::format("{}-{}{}", path.stem().string(), sample + 1, path.extension().string()));
}

fs::path sidecar_of(const OutputFiles& files) {
  return files.video.empty() ? still_sidecar_path(files.name) : sidecar_path(files.video);
}

OutputFiles output_files(const fs::path& output, const Mode& mode, std::int64_t count) {
  OutputFiles files;
  files.name = output;
  if (makes(mode, Medium::video)) {
    files.video = output;
    return files;
  }
  for (std::int64_t sample = 0; sample < count; ++sample) {
    const fs::path file = numbered(output, sample, count);
    if (makes(mode, Medium::image)) files.pictures.push_back(file);
    if (makes(mode, Medium::text)) files.texts.push_back(fs::path(file).replace_extension(text_extension));
  }
  return files;
}

}  // namespace bitreel
