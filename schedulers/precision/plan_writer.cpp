#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "schedulers/precision/plan_file.h"
#include "schedulers/precision/ranges.h"

namespace bitreel {
namespace {

constexpr std::size_t line_bytes = 100;  // a list goes on in the next line beyond this

std::string yaml_quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + "\"";
}

// [a, b, ...], broken into lines when long.
std::string list(const std::vector<std::string>& parts, const std::string& indent) {
  std::string text = "[", line;
  for (const std::string& part : parts) {
    if (line.size() + part.size() > line_bytes) {
      text.append(line).append("\n").append(indent);
      line.clear();
    }
    line += (line.empty() ? "" : " ") + part + (&part == &parts.back() ? "" : ",");
  }
  return text + line + "]";
}

std::string one_or_list(const std::vector<std::int64_t>& numbers) {
  const std::vector<std::string> texts = texts_of(numbers);
  return texts.size() == 1 ? texts.front() : list(texts, "        ");
}

struct WrittenRule {
  Precision precision;
  std::vector<std::int64_t> layers, steps;
};

// Cells by one axis: for each line of it (a step, say) and precision the indices on the other axis; equal sets of
// indices share one rule.
std::vector<WrittenRule> rules_along(const Plan& plan, Precision fallback, bool by_steps) {
  std::map<std::pair<Precision, std::vector<std::int64_t>>, std::vector<std::int64_t>> lines_of;
  const auto steps = static_cast<std::int64_t>(plan.made_for().steps()), layers = plan.made_for().layers;
  for (std::int64_t line = 0; line < (by_steps ? steps : layers); ++line) {
    std::map<Precision, std::vector<std::int64_t>> indices;
    for (std::int64_t index = 0; index < (by_steps ? layers : steps); ++index) {
      const auto step = static_cast<std::size_t>(by_steps ? line : index);
      const Precision precision = plan.rows()[step][static_cast<std::size_t>(by_steps ? index : line)];
      if (precision != fallback) indices[precision].push_back(index);
    }
    for (auto& [precision, where] : indices) lines_of[{precision, std::move(where)}].push_back(line);
  }
  std::vector<WrittenRule> rules;
  rules.reserve(lines_of.size());
  for (const auto& [key, lines] : lines_of)
    rules.push_back(
        {.precision = key.first, .layers = by_steps ? key.second : lines, .steps = by_steps ? lines : key.second});
  std::ranges::sort(rules, {}, [](const WrittenRule& rule) { return std::pair(rule.steps, rule.layers); });
  return rules;
}

Precision most_common(const Plan& plan) {
  std::map<Precision, std::size_t> counts;
  for (const PrecisionRow& row : plan.rows()) {
    for (const Precision precision : row) ++counts[precision];
  }
  return std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; })->first;
}

}  // namespace

std::string to_yaml(const Plan& plan) {
  const PlanTarget& target = plan.made_for();
  std::vector<std::string> timesteps;
  for (const std::int64_t timestep : target.timesteps) timesteps.push_back(std::to_string(timestep));
  const Precision fallback = most_common(plan);
  std::string yaml = fmt::format(
      "bitreel_plan: {}\n"
      "made_for:\n"
      "  model: {}\n  model_hash: {}\n  scheduler: {}\n  layers: {}\n  timesteps: {}\n",
      plan_format_version, yaml_quoted(target.model), yaml_quoted(target.model_hash), yaml_quoted(target.scheduler),
      target.layers, list(timesteps, "    "));
  if (!plan.note.empty()) yaml += fmt::format("note: {}\n", yaml_quoted(plan.note));
  if (plan.bound) yaml += fmt::format("bound: {}\n", *plan.bound);
  yaml += fmt::format("# {}; layers and steps count from 0\n", shares_text(plan));
  yaml += fmt::format("default: {}\n", name_of(fallback));

  std::vector<WrittenRule> rules = rules_along(plan, fallback, true);
  if (std::vector<WrittenRule> by_layers = rules_along(plan, fallback, false); by_layers.size() < rules.size())
    rules = std::move(by_layers);
  if (rules.empty()) return yaml;
  yaml += "rules:\n";
  for (const WrittenRule& rule : rules) {
    yaml += fmt::format("  - {{precision: {}", name_of(rule.precision));
    if (rule.steps.size() < target.steps()) yaml += fmt::format(", steps: {}", one_or_list(rule.steps));
    if (static_cast<std::int64_t>(rule.layers.size()) < target.layers)
      yaml += fmt::format(", layers: {}", one_or_list(rule.layers));
    yaml += "}\n";
  }
  return yaml;
}

}  // namespace bitreel
