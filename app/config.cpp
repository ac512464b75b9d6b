// The settings table as a document: YAML for --config and --print-config, JSON for sidecars and latents files.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "app/options.h"
#include "base/error.h"
#include "base/nearest.h"
#include "base/strict_yaml.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

// Keys that files of earlier versions hold and that meant nothing to the clip.
const std::set<std::string> retired = {"vae_slicing"};

const Setting& setting_of_key(const std::string& key, const std::string& where) {
  std::vector<std::string> keys;
  for (const Setting& setting : settings()) {
    if (setting.key() == key) return setting;
    keys.push_back(setting.key());
  }
  const std::string meant = nearest(key, keys);
  throw UsageError(fmt::format("{}: unknown key {}", where, key),
                   meant.empty() ? fmt::format("keys are generate's flags with _ for -: {}", fmt::join(keys, ", "))
                                 : fmt::format("did you mean {}?", meant));
}

std::string scalar_text(const YAML::Node& node, const std::string& where) {
  if (node.IsScalar()) return node.Scalar();
  throw UsageError(fmt::format("{} is {}, expected one value", where, node.IsNull() ? "empty" : "a list or a map"),
                   "leave the line out to get the default");
}

}  // namespace

ordered_json to_json(const GenerateOptions& options) {
  ordered_json config;
  for (const Setting& setting : settings()) {
    ordered_json value = setting.get(options);
    if (!value.is_null()) config[setting.key()] = std::move(value);
  }
  return config;
}

std::string to_yaml(const GenerateOptions& options) {
  YAML::Emitter yaml;
  yaml << YAML::BeginMap;
  const ordered_json config = to_json(options);
  for (const auto& [key, value] : config.items()) {
    yaml << YAML::Key << key << YAML::Value;
    if (value.is_string()) {
      yaml << YAML::DoubleQuoted << value.get<std::string>();
    } else {
      yaml << value.dump();
    }
  }
  yaml << YAML::EndMap;
  return std::string(yaml.c_str()) + "\n";
}

void apply_json(GenerateOptions& options, const ordered_json& config, const std::string& origin) {
  if (!config.is_object()) throw Error(fmt::format("{}: the configuration is not an object", origin));
  for (const auto& [key, value] : config.items()) {
    if (retired.contains(key)) continue;
    if (value.is_structured())
      throw Error(fmt::format("{}: {} is a list or an object, expected one value", origin, key));
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    setting_of_key(key, origin).set(options, text, fmt::format("{}: {}", origin, key));
  }
}

void apply_yaml(GenerateOptions& options, const std::filesystem::path& file) {
  const StrictYaml yaml = StrictYaml::open(file);
  if (!yaml.root().IsMap()) {
    throw UsageError(fmt::format("{} holds no settings, expected lines such as \"steps: 30\"", file.string()),
                     "bitreel generate --print-config shows a whole one");
  }
  std::set<std::string> seen;
  for (const auto& entry : yaml.root()) {
    const std::string origin = yaml.at(entry.first);
    const std::string key = scalar_text(entry.first, origin + ": the key");
    if (!seen.insert(key).second) throw UsageError(fmt::format("{}: {} is given twice", origin, key));
    const std::string where = fmt::format("{}: {}", origin, key);
    setting_of_key(key, origin).set(options, scalar_text(entry.second, where), where);
  }
}

}  // namespace bitreel
