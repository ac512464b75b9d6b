#include "base/json_file.h"

#include "base/input_file.h"
#include "base/json_text.h"

namespace bitreel {

nlohmann::json read_json(const std::filesystem::path& path) {
  // Real configurations are kilobytes; tokenizer.json reaches a few megabytes.
  return parse_json(read_file(path, {.expected = "a JSON file"}), path.string());
}

}  // namespace bitreel
