#include "base/strict_yaml.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/nearest.h"

namespace bitreel {

StrictYaml::StrictYaml(std::string name, const YAML::Node& root) : name_(std::move(name)), root_(root) {}

StrictYaml StrictYaml::open(const std::filesystem::path& file) {
  std::ifstream stream(file);
  if (std::filesystem::is_directory(file) || !stream) {
    throw UsageError(fmt::format("{} cannot be read, expected a YAML file", file.string()));
  }
  std::ostringstream text;
  text << stream.rdbuf();
  return parse(text.str(), file.string());
}

StrictYaml StrictYaml::parse(const std::string& text, const std::string& name) {
  try {
    // The end mark makes yaml-cpp see a quote that is never closed.
    return {name, YAML::Load(text + "\n...\n")};
  } catch (const YAML::Exception& e) {  // yaml-cpp's own type: translated here, where the file's name is known
    throw UsageError(fmt::format("{}:{}: {}", name, e.mark.line + 1, e.msg));
  }
}

std::string StrictYaml::at(const YAML::Node& node) const {
  return fmt::format("{}:{}", name_, node.Mark().line + 1);
}

std::map<std::string, YAML::Node> StrictYaml::map(const YAML::Node& node, const std::string& what,
                                                  const std::vector<std::string>& required,
                                                  const std::vector<std::string>& optional) const {
  if (!node.IsMap()) throw UsageError(fmt::format("{}: {} is not a map of keys and values", at(node), what));
  std::vector<std::string> known = required;
  known.insert(known.end(), optional.begin(), optional.end());
  std::map<std::string, YAML::Node> values;
  for (const auto& entry : node) {
    const std::string key = text(entry.first, "a key");
    if (std::ranges::find(known, key) == known.end()) {
      const std::string meant = nearest(key, known);
      throw UsageError(fmt::format("{}: {} has no key {}", at(entry.first), what, key),
                       meant.empty() ? fmt::format("its keys are {}", fmt::join(known, ", "))
                                     : fmt::format("did you mean {}?", meant));
    }
    if (!values.emplace(key, entry.second).second) {
      throw UsageError(fmt::format("{}: {} is given twice", at(entry.first), key));
    }
  }
  for (const std::string& key : required) {
    if (!values.contains(key)) throw UsageError(fmt::format("{}: {} has no {}", at(node), what, key));
  }
  return values;
}

std::vector<YAML::Node> StrictYaml::list(const YAML::Node& node, const std::string& what) const {
  if (!node.IsSequence() || node.size() == 0) {
    throw UsageError(fmt::format("{}: {} is not a list with entries", at(node), what));
  }
  return {node.begin(), node.end()};
}

std::string StrictYaml::text(const YAML::Node& node, const std::string& what) const {
  if (!node.IsScalar() || node.Scalar().empty()) {
    throw UsageError(fmt::format("{}: {} is {}, expected one value", at(node), what,
                                 node.IsSequence() || node.IsMap() ? "a list or a map" : "empty"));
  }
  return node.Scalar();
}

}  // namespace bitreel
