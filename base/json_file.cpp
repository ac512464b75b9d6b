#include "base/json_file.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "base/error.h"

namespace bitreel {

nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path)) throw Error(fmt::format("{}: can't be read", path.string()));
  // Real configurations are kilobytes; tokenizer.json reaches a few megabytes.
  constexpr std::uintmax_t most_bytes = std::uintmax_t{256} << 20;
  if (std::filesystem::file_size(path) > most_bytes)
    throw Error(fmt::format("{}: too large for a JSON file", path.string()));
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: not valid JSON: {}", path.string(), error.what()), "download the file again");
  }
}

}  // namespace bitreel
