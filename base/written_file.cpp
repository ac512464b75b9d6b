#include "base/written_file.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/partial.h"

namespace bitreel {

void check_can_write(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (!path.empty() && !std::filesystem::is_directory(folder))
    throw Error(fmt::format("{}: the folder {} does not exist", path.string(), folder.string()));
  if (std::filesystem::is_directory(path))
    throw Error(fmt::format("{} is a folder, expected a file's name", path.string()));
}

void write_whole(const std::filesystem::path& path, std::string_view bytes) {
  Partial partial(path);
  write_file(partial.path(), bytes, path.string());
  partial.publish();
}

}  // namespace bitreel
