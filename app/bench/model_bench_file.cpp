// Reading a benchmark's cases.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "app/assets.h"
#include "app/bench/model_bench.h"
#include "base/error.h"
#include "base/strict_yaml.h"

namespace bitreel {
namespace {

// What a benchmark decides itself: it makes no clip.
bool settled_here(const Setting& setting) {
  constexpr const char* names[] = {"prompt",       "negative-prompt", "steps",          "seed",   "fps",   "device",
                                   "guard",        "guard-bound",     "accept-plan-of", "output", "codec", "crf",
                                   "save-latents", "no-metadata"};
  return std::ranges::find(names, setting.name) != std::end(names);
}

std::vector<std::string> keys_of_settings() {
  std::vector<std::string> keys;
  for (const Setting& setting : settings()) {
    if (!settled_here(setting)) keys.push_back(setting.key());
  }
  return keys;
}

void apply(GenerateOptions& options, const StrictYaml& yaml, const std::map<std::string, YAML::Node>& values) {
  for (const Setting& setting : settings()) {
    const auto given = values.find(setting.key());
    if (given == values.end()) continue;
    const std::string where = fmt::format("{}: {}", yaml.at(given->second), given->first);
    setting.set(options, yaml.text(given->second, given->first), where);
  }
}

}  // namespace

ModelBench read_model_bench(const std::filesystem::path& file) {
  const StrictYaml yaml = StrictYaml::open(file);
  const auto top = yaml.map(yaml.root(), "the benchmark", {"variants", "cases"}, {"rounds", "seed"});
  ModelBench bench;
  const auto positive = [&](const YAML::Node& node, const std::string& what) {
    const auto value = yaml.number<std::int64_t>(node, what);
    if (value < 1) throw UsageError(fmt::format("{}: {} is {}, expected 1 or more", yaml.at(node), what, value));
    return value;
  };
  if (top.contains("rounds")) bench.rounds = positive(top.at("rounds"), "rounds");
  if (top.contains("seed")) bench.seed = static_cast<std::uint64_t>(positive(top.at("seed"), "seed"));
  const YAML::Node& variants = top.at("variants");
  if (!variants.IsMap() || variants.size() == 0) {
    throw UsageError(fmt::format("{}: variants is not a map of names", yaml.at(variants)),
                     "variants: {full: {}, int8: {attention: int8}}");
  }
  std::vector<std::string> case_keys = keys_of_settings();
  case_keys.emplace_back("layers");
  for (const YAML::Node& node : yaml.list(top.at("cases"), "cases")) {
    const auto values = yaml.map(node, "a case", {"name"}, case_keys);
    ModelCase& shape = bench.cases.emplace_back();
    shape.name = yaml.text(values.at("name"), "name");
    if (values.contains("layers")) shape.layers = positive(values.at("layers"), "layers");
    GenerateOptions of_case;
    of_case.prompt = "";
    of_case.seed = bench.seed;
    of_case.dtype = at::kBFloat16;
    apply(of_case, yaml, values);
    for (const auto& entry : variants) {
      GenerateOptions options = of_case;
      if (!entry.second.IsNull()) {
        apply(options, yaml, yaml.map(entry.second, "a variant", {}, keys_of_settings()));
      }
      // As a person stands there, else as the program's own files lie.
      if (!options.model.empty() && !std::filesystem::exists(options.model)) options.model = asset(options.model);
      shape.variants.emplace_back(yaml.text(entry.first, "a variant's name"), options);
    }
  }
  return bench;
}

}  // namespace bitreel
