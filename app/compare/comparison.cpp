#include "app/compare/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "app/files/prompts_file.h"
#include "base/error.h"
#include "base/strict_yaml.h"

namespace bitreel {
namespace {

constexpr std::int64_t most_repeats = 1000;

std::vector<std::uint64_t> seeds_from(std::uint64_t first, std::size_t count) {
  std::vector<std::uint64_t> seeds;
  for (std::size_t i = 0; i < count; ++i) seeds.push_back(first + i);
  return seeds;
}

// "first-last:3=int8,rest=int4" -> first-last-3-int8-rest-int4; plans/a.yaml -> a.
std::string folder_name(const std::string& attention) {
  const std::filesystem::path path(attention);
  std::string name = path.extension() == ".yaml" || path.extension() == ".yml" ? path.stem().string() : attention;
  std::ranges::replace_if(
      name, [](char c) { return std::string_view(":=,/+ ").find(c) != std::string_view::npos; }, '-');
  return name;
}

std::vector<std::string> keys_of_variants() {
  std::vector<std::string> keys;
  for (const Setting& setting : settings()) {
    if (std::ranges::find(settled_by_comparison(), setting.name) == settled_by_comparison().end() &&
        setting.name != "seed") {
      keys.push_back(setting.key());
    }
  }
  return keys;
}

class ComparisonFile {
 public:
  explicit ComparisonFile(const StrictYaml& yaml) : yaml_(yaml) {}

  [[nodiscard]] Comparison read() const {
    const auto top = yaml_.map(yaml_.root(), "the comparison", {"prompts", "variants"},
                               {"seeds", "defaults", "baseline", "repeats"});
    Comparison comparison;
    read_prompts_into(comparison, top.at("prompts"));
    comparison.seeds = top.contains("seeds") ? seeds_of(top.at("seeds"), comparison.prompts.size())
                                             : seeds_from(0, comparison.prompts.size());
    GenerateOptions defaults;
    if (top.contains("defaults")) apply(defaults, top.at("defaults"), "defaults");
    comparison.variants = variants_of(top.at("variants"), defaults);
    if (top.contains("baseline")) put_first(comparison.variants, top.at("baseline"));
    if (top.contains("repeats")) {
      comparison.repeats = yaml_.number<std::int64_t>(top.at("repeats"), "repeats");
      if (comparison.repeats < 1 || comparison.repeats > most_repeats) {
        throw UsageError(fmt::format("{}: repeats is {}, expected 1 to {}", yaml_.at(top.at("repeats")),
                                     comparison.repeats, most_repeats));
      }
    }
    return comparison;
  }

 private:
  void read_prompts_into(Comparison& comparison, const YAML::Node& node) const {
    if (node.IsScalar()) {
      comparison.prompts_file = yaml_.text(node, "prompts");
      comparison.prompts = read_prompts(comparison.prompts_file);
      return;
    }
    for (const YAML::Node& prompt : yaml_.list(node, "prompts")) {
      comparison.prompts.push_back(yaml_.text(prompt, "a prompt"));
    }
  }

  [[nodiscard]] std::vector<std::uint64_t> seeds_of(const YAML::Node& node, std::size_t prompts) const {
    if (node.IsScalar()) return seeds_from(yaml_.number<std::uint64_t>(node, "seeds"), prompts);
    std::vector<std::uint64_t> seeds;
    for (const YAML::Node& seed : yaml_.list(node, "seeds")) {
      seeds.push_back(yaml_.number<std::uint64_t>(seed, "a seed"));
    }
    if (seeds.size() != prompts) {
      throw UsageError(fmt::format("{}: {} seeds for {} prompts", yaml_.at(node), seeds.size(), prompts),
                       "one for each, or a single number that counts up");
    }
    return seeds;
  }

  void apply(GenerateOptions& options, const YAML::Node& node, const std::string& what) const {
    if (node.IsNull()) return;
    for (const auto& [key, value] : yaml_.map(node, what, {}, keys_of_variants())) {
      const auto same = [&key = key](const Setting& setting) { return setting.key() == key; };
      const std::string where = fmt::format("{}: {}", yaml_.at(value), key);
      std::ranges::find_if(settings(), same)->set(options, yaml_.text(value, key), where);
    }
  }

  [[nodiscard]] std::vector<Variant> variants_of(const YAML::Node& node, const GenerateOptions& defaults) const {
    if (!node.IsMap() || node.size() < 2) {
      throw UsageError(fmt::format("{}: variants is not a map of two names or more", yaml_.at(node)),
                       "variants: {full: {}, int8: {attention: int8}}");
    }
    std::vector<Variant> variants;
    for (const auto& entry : node) {
      const std::string name = yaml_.text(entry.first, "a variant's name");
      if (name.find_first_of("/\\") != std::string::npos || name.starts_with('.')) {
        throw UsageError(fmt::format("{}: {} can't be a folder's name", yaml_.at(entry.first), name));
      }
      if (std::ranges::find(variants, name, &Variant::name) != variants.end()) {
        throw UsageError(fmt::format("{}: {} is given twice", yaml_.at(entry.first), name));
      }
      variants.push_back({.name = name, .options = defaults});
      apply(variants.back().options, entry.second, name);
    }
    return variants;
  }

  void put_first(std::vector<Variant>& variants, const YAML::Node& node) const {
    const std::string name = yaml_.text(node, "baseline");
    const auto baseline = std::ranges::find(variants, name, &Variant::name);
    if (baseline == variants.end()) {
      throw UsageError(fmt::format("{}: baseline is {}, which is none of the variants", yaml_.at(node), name));
    }
    std::rotate(variants.begin(), baseline, baseline + 1);
  }

  const StrictYaml& yaml_;
};

}  // namespace

Comparison read_comparison(const std::filesystem::path& file) {
  const StrictYaml yaml = StrictYaml::open(file);
  return ComparisonFile(yaml).read();
}

Comparison comparison_of(const std::vector<std::string>& attentions, const std::filesystem::path& prompts_file,
                         const GenerateOptions& options) {
  Comparison comparison{
      .prompts = read_prompts(prompts_file), .prompts_file = prompts_file, .seeds = {}, .variants = {}};
  comparison.seeds = seeds_from(options.seed.value_or(0), comparison.prompts.size());
  std::vector<std::string> all = {"full"};
  std::ranges::copy_if(attentions, std::back_inserter(all), [](const std::string& a) { return a != "full"; });
  for (const std::string& attention : all) {
    const std::string name = folder_name(attention);
    if (std::ranges::find(comparison.variants, name, &Variant::name) != comparison.variants.end()) {
      throw UsageError(fmt::format("--attention {}: another one has the folder {} already", attention, name));
    }
    comparison.variants.push_back({.name = name, .options = options});
    comparison.variants.back().options.attention = attention;
    comparison.variants.back().options.seed.reset();
  }
  return comparison;
}

const std::vector<std::string>& settled_by_comparison() {
  static const std::vector<std::string> names = {"prompt", "output", "save-latents", "no-metadata"};
  return names;
}

}  // namespace bitreel
