#include "app/compare/comparison_folder.h"

#include <fmt/format.h>

#include "base/input_file.h"
#include "base/json_text.h"
#include "base/readable_json.h"
#include "base/written_file.h"

namespace bitreel {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

fs::path ComparisonFolder::clip(const std::string& variant, std::size_t prompt) const {
  return root_ / variant / fmt::format("clip-{:03}.mp4", prompt);
}

fs::path ComparisonFolder::difference(const std::string& variant, std::size_t prompt) const {
  return root_ / variant / fmt::format("difference-{:03}.jpg", prompt);
}

fs::path ComparisonFolder::facts(const std::string& variant, std::size_t prompt) const {
  return root_ / variant / fmt::format("clip-{:03}.facts.json", prompt);
}

fs::path ComparisonFolder::frames(const std::string& variant, std::size_t prompt) const {
  return work() / fmt::format("{}-{:03}.mkv", variant, prompt);
}

fs::path ComparisonFolder::baseline_steps(std::size_t prompt) const {
  return work() / fmt::format("steps-{:03}", prompt);
}

std::string ComparisonFolder::relative(const fs::path& file) const {
  return fs::relative(file, root_).string();
}

void ComparisonFolder::begin_work() const {
  fs::create_directories(work());
}

void ComparisonFolder::remove_work() const {
  fs::remove_all(work());
}

std::optional<ordered_json> ComparisonFolder::read_facts(const std::string& variant, std::size_t prompt,
                                                         const std::string& key) const {
  std::string text;
  if (!read_into(text, this->facts(variant, prompt), {}).empty()) return std::nullopt;
  auto facts = parse_json_if_any<ordered_json>(text);
  if (!facts.is_object() || facts.value("key", "") != key || !fs::exists(clip(variant, prompt))) return std::nullopt;
  return facts;
}

void ComparisonFolder::write_facts(const std::string& variant, std::size_t prompt, const ordered_json& facts) const {
  write_whole(this->facts(variant, prompt), readable_json(facts));
}

}  // namespace bitreel
