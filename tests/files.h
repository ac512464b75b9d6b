// Files that tests make and look into, byte by byte.
//
//   const fs::path config = write_text(folder / "model/config.json", "{}");   // and the folder for it
//   EXPECT_THAT(read_text(config), HasSubstr("{"));
//
// JSON: read_json() of base/json_file.h.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace bitreel::test {

inline std::filesystem::path write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace bitreel::test
