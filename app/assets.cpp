#include "app/assets.h"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>

#include "base/error.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// The default model tells our folder from others of that name.
bool holds_assets(const fs::path& folder) {
  return fs::exists(folder / "assets/pocket/model_index.json");
}

std::optional<fs::path> find_home() {
  if (const char* told = std::getenv("BITREEL_HOME"); told != nullptr && *told != '\0') return fs::path(told);
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  for (fs::path folder = program.parent_path(); !failed && folder.has_relative_path(); folder = folder.parent_path()) {
    for (const fs::path& candidate : {folder / "share/bitreel", folder}) {
      if (holds_assets(candidate)) return candidate;
    }
  }
  return std::nullopt;
}

}  // namespace

fs::path asset(const fs::path& relative) {
  static const std::optional<fs::path> home = find_home();
  if (!home) {
    throw Error(fmt::format("the files that come with the program are not beside it: no share/bitreel holds {}",
                            relative.string()),
                "install the program with its share folder, or set BITREEL_HOME to the folder that holds assets/");
  }
  return *home / relative;
}

}  // namespace bitreel
