#include "app/files/prompts_file.h"

#include <fmt/format.h>

#include <sstream>

#include "app/clip_values.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"

namespace bitreel {
namespace {

std::vector<std::string> prompts_of_json(const std::string& text, const std::filesystem::path& file) {
  const auto json = parse_json_if_any(text);
  if (!json.is_array()) {
    throw UsageError(fmt::format("{} is not a JSON list of prompts", file.string()),
                     R"(it holds [{"prompt": "a red circle moves right"}, ...])");
  }
  std::vector<std::string> prompts;
  for (const auto& entry : json) {
    if (!entry.is_object() || !entry.contains("prompt") || !entry["prompt"].is_string()) {
      throw UsageError(fmt::format("{}: entry {} has no \"prompt\"", file.string(), prompts.size()));
    }
    prompts.push_back(prompt_from(entry["prompt"], fmt::format("{}: entry {}", file.string(), prompts.size())));
  }
  return prompts;
}

}  // namespace

std::vector<std::string> read_prompts(const std::filesystem::path& file) {
  const std::string text = read_file<UsageError>(file, {.expected = "a file of prompts"});
  std::vector<std::string> prompts;
  if (file.extension() == ".json") {
    prompts = prompts_of_json(text, file);
  } else {
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      if (!line.empty())
        prompts.push_back(prompt_from(line, fmt::format("{}: prompt {}", file.string(), prompts.size())));
    }
  }
  if (prompts.empty()) throw UsageError(fmt::format("{} holds no prompts", file.string()));
  return prompts;
}

}  // namespace bitreel
