#include "base/json_file.h"

#include <string>
#include <string_view>

#include "base/input_file.h"
#include "base/json_text.h"

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
  // Real configurations are kilobytes; tokenizer.json reaches a few megabytes.
  return parse_json(with_quoted_words(read_file(path, {.expected = "a JSON file"})), path.string());
}

}  // namespace bitreel
