// Where the files of a comparison are, and what it keeps of its clips from run to run.
//
//   const ComparisonFolder folder("out/compare");
//   const std::filesystem::path clip = folder.clip("int8", 3);       // out/compare/int8/clip-003.mp4
//   folder.write_facts("int8", 3, facts);                            // out/compare/int8/clip-003.facts.json
//   const auto found = folder.read_facts("int8", 3, facts["key"]);   // by another run of the same settings too
//
// work/ holds what lasts until a prompt is complete: its frames without loss, the baseline's latents after every step.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace bitreel {

class ComparisonFolder {
 public:
  explicit ComparisonFolder(std::filesystem::path root) : root_(std::move(root)) {}

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }
  [[nodiscard]] std::filesystem::path clip(const std::string& variant, std::size_t prompt) const;
  [[nodiscard]] std::filesystem::path difference(const std::string& variant, std::size_t prompt) const;
  [[nodiscard]] std::filesystem::path frames(const std::string& variant, std::size_t prompt) const;
  [[nodiscard]] std::filesystem::path baseline_steps(std::size_t prompt) const;
  // As the report names a file.
  [[nodiscard]] std::string relative(const std::filesystem::path& file) const;

  void begin_work() const;
  void remove_work() const;

  // Nothing when the clip or its facts are missing, or made from something else than the key says.
  [[nodiscard]] std::optional<nlohmann::ordered_json> read_facts(const std::string& variant, std::size_t prompt,
                                                                 const std::string& key) const;
  void write_facts(const std::string& variant, std::size_t prompt, const nlohmann::ordered_json& facts) const;

 private:
  [[nodiscard]] std::filesystem::path work() const { return root_ / "work"; }
  [[nodiscard]] std::filesystem::path facts(const std::string& variant, std::size_t prompt) const;

  std::filesystem::path root_;
};

}  // namespace bitreel
