// A text file that somebody else wrote, whole, if it has a size that such a file can have.
//
//   const std::string text = read_bounded("jobs.yaml", {.what = "a jobs file", .most_bytes = 4 << 20});
//
// Errors: UsageError when it cannot be read, is a folder, or is larger.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace bitreel {

struct TextBound {
  std::string what;
  std::uintmax_t most_bytes;
  std::string hint = {};  // for a file that is larger
};

std::string read_bounded(const std::filesystem::path& file, const TextBound& bound);

}  // namespace bitreel
