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
  // A device would be replaced by a file of its name.
  if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path))
    throw Error(fmt::format("{} is not a file that can be replaced", path.string()));
}

void check_spares(const std::filesystem::path& path, const std::vector<std::filesystem::path>& inputs) {
  for (const std::filesystem::path& input : inputs) {
    std::error_code missing;  // what is not there yet can't be the same file
    if (!path.empty() && std::filesystem::equivalent(path, input, missing))
      throw UsageError(fmt::format("{} would be overwritten: it is read as well", path.string()),
                       "choose another name for what is written");
  }
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code failed;
  if (!folder.empty()) std::filesystem::create_directories(folder, failed);
  if (failed) throw Error(fmt::format("{} can't be made: {}", folder.string(), failed.message()));
}

void write_whole(const std::filesystem::path& path, std::string_view bytes) {
  Partial partial(path);
  write_file(partial.path(), bytes, path.string());
  partial.publish();
}

}  // namespace bitreel
