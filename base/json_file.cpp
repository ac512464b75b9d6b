#include "base/json_file.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "base/error.h"

namespace bitreel {
namespace {

// Python writes infinities and NaN as bare words, which JSON has not: they become strings, to be asked for by name.
std::string with_quoted_words(const std::string& text) {
  std::string quoted;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') in_string = !in_string;
    if (in_string && text[i] == '\\' && i + 1 < text.size()) quoted += text[i++];
    bool replaced = false;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (in_string || replaced || text.compare(i, word.size(), word) != 0) continue;
      quoted.append("\"").append(word).append("\"");
      i += word.size() - 1;
      replaced = true;
    }
    if (!replaced) quoted += text[i];
  }
  return quoted;
}

}  // namespace

nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path)) throw Error(fmt::format("{}: can't be read", path.string()));
  // Real configurations are kilobytes; tokenizer.json reaches a few megabytes.
  constexpr std::uintmax_t most_bytes = std::uintmax_t{256} << 20;
  if (std::filesystem::file_size(path) > most_bytes)
    throw Error(fmt::format("{}: too large for a JSON file", path.string()));
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  try {
    return nlohmann::json::parse(with_quoted_words(text));
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: not valid JSON: {}", path.string(), error.what()), "download the file again");
  }
}

}  // namespace bitreel
