#include "app/batch/bounded_text.h"

#include <fmt/format.h>

#include <fstream>

#include "base/error.h"

namespace bitreel {

std::string read_bounded(const std::filesystem::path& file, const TextBound& bound) {
  std::ifstream stream(file, std::ios::binary);
  if (std::filesystem::is_directory(file) || !stream) {
    throw UsageError(fmt::format("{} cannot be read, expected {}", file.string(), bound.what));
  }
  std::string text(bound.most_bytes + 1, '\0');  // read, not asked for its size: it may be a pipe
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > bound.most_bytes) {
    throw UsageError(fmt::format("{} holds more than {} KiB, expected {} of at most that", file.string(),
                                 bound.most_bytes / 1024, bound.what),
                     bound.hint);
  }
  return text;
}

}  // namespace bitreel
