#include "app/files/prompts_file.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace bitreel {
namespace {

std::vector<std::string> prompts_of_json(std::istream& stream, const std::filesystem::path& file) {
  const auto json = nlohmann::json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) {
    throw UsageError(fmt::format("{} is not a JSON list of prompts", file.string()),
                     R"(it holds [{"prompt": "a red circle moves right"}, ...])");
  }
  std::vector<std::string> prompts;
  for (const auto& entry : json) {
    if (!entry.is_object() || !entry.contains("prompt") || !entry["prompt"].is_string()) {
      throw UsageError(fmt::format("{}: entry {} has no \"prompt\"", file.string(), prompts.size()));
    }
    prompts.push_back(entry["prompt"]);
  }
  return prompts;
}

}  // namespace

std::vector<std::string> read_prompts(const std::filesystem::path& file) {
  std::ifstream stream(file);
  if (std::filesystem::is_directory(file) || !stream) {
    throw UsageError(fmt::format("{} cannot be read, expected a file of prompts", file.string()));
  }
  std::vector<std::string> prompts;
  if (file.extension() == ".json") {
    prompts = prompts_of_json(stream, file);
  } else {
    for (std::string line; std::getline(stream, line);) {
      if (!line.empty()) prompts.push_back(line);
    }
  }
  if (prompts.empty()) throw UsageError(fmt::format("{} holds no prompts", file.string()));
  return prompts;
}

}  // namespace bitreel
