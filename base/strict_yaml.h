// Reading YAML so that every complaint has a file and a line.
//
//   const StrictYaml yaml = StrictYaml::open("plan.yaml");
//   const auto values = yaml.map(yaml.root(), "the plan", {"layers"}, {"note"});   // required and optional keys
//   const auto layers = yaml.number<std::int64_t>(values.at("layers"), "layers");
//
// Errors: UsageError for a file that can't be read or parsed, that holds a second document, nests too deep or holds
// itself; for keys that are unknown (with the nearest), repeated or missing, and values of another kind.
#pragma once

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace bitreel {

class StrictYaml {
 public:
  static StrictYaml open(const std::filesystem::path& file);
  // From text; errors call it `name`.
  static StrictYaml parse(const std::string& text, const std::string& name);

  [[nodiscard]] const YAML::Node& root() const { return root_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  // "plan.yaml:7", of the node's first line.
  [[nodiscard]] std::string at(const YAML::Node& node) const;

  // A map's values by key.
  [[nodiscard]] std::map<std::string, YAML::Node> map(const YAML::Node& node, const std::string& what,
                                                      const std::vector<std::string>& required,
                                                      const std::vector<std::string>& optional) const;
  // A list's entries; at least one.
  [[nodiscard]] std::vector<YAML::Node> list(const YAML::Node& node, const std::string& what) const;
  [[nodiscard]] std::string text(const YAML::Node& node, const std::string& what) const;

  // A whole number or a finite one.
  template <class T>
  [[nodiscard]] T number(const YAML::Node& node, const std::string& what) const {
    const std::string written = text(node, what);
    T value{};
    if (!YAML::convert<T>::decode(node, value) || !std::isfinite(static_cast<double>(value))) {
      throw UsageError(fmt::format("{}: {} is \"{}\", expected a {}number", at(node), what, written,
                                   std::is_integral_v<T> ? "whole " : ""));
    }
    return value;
  }

 private:
  StrictYaml(std::string name, const YAML::Node& root);

  std::string name_;
  YAML::Node root_;
};

}  // namespace bitreel
