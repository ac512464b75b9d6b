#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "attention/error.h"
#include "attention/nearest.h"
#include "schedulers/precision/attention_choice.h"
#include "schedulers/precision/plan_file.h"
#include "schedulers/precision/ranges.h"

namespace bitreel {
namespace {

using Fields = std::map<std::string, YAML::Node>;

struct Keys {
  std::vector<std::string> required;
  std::vector<std::string> optional;
};

// Every node is asked through here, so that every complaint has a file and a line.
class Document {
 public:
  explicit Document(std::string name) : name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string at(const YAML::Node& node) const {
    return fmt::format("{}:{}", name_, node.Mark().line + 1);
  }

  [[nodiscard]] Fields fields(const YAML::Node& node, const std::string& what, const Keys& keys) const;
  [[nodiscard]] std::string text(const YAML::Node& node, const std::string& what) const;
  // A whole number or a finite one.
  template <class T>
  [[nodiscard]] T number(const YAML::Node& node, const std::string& what) const;
  [[nodiscard]] Precision precision(const YAML::Node& node, const std::string& what) const;
  // One range below `count` or a list of them; everything when the key is left out.
  [[nodiscard]] std::vector<Range> ranges(const Fields& rule, const std::string& key, std::int64_t count) const;

 private:
  std::string name_;
};

Fields Document::fields(const YAML::Node& node, const std::string& what, const Keys& keys) const {
  if (!node.IsMap()) throw UsageError(fmt::format("{}: {} is not a map of keys and values", at(node), what));
  std::vector<std::string> known = keys.required;
  known.insert(known.end(), keys.optional.begin(), keys.optional.end());
  Fields fields;
  for (const auto& entry : node) {
    const std::string key = text(entry.first, "a key");
    if (std::ranges::find(known, key) == known.end()) {
      const std::string meant = nearest(key, known);
      throw UsageError(fmt::format("{}: {} has no key {}", at(entry.first), what, key),
                       meant.empty() ? fmt::format("its keys are {}", fmt::join(known, ", "))
                                     : fmt::format("did you mean {}?", meant));
    }
    if (!fields.emplace(key, entry.second).second)
      throw UsageError(fmt::format("{}: {} is given twice", at(entry.first), key));
  }
  for (const std::string& key : keys.required) {
    if (!fields.contains(key)) throw UsageError(fmt::format("{}: {} has no {}", at(node), what, key));
  }
  return fields;
}

std::string Document::text(const YAML::Node& node, const std::string& what) const {
  if (node.IsScalar() && !node.Scalar().empty()) return node.Scalar();
  throw UsageError(fmt::format("{}: {} is {}, expected one value", at(node), what,
                               node.IsSequence() || node.IsMap() ? "a list or a map" : "empty"));
}

template <class T>
T Document::number(const YAML::Node& node, const std::string& what) const {
  const std::string written = text(node, what);
  T value{};
  if (!YAML::convert<T>::decode(node, value) || !std::isfinite(static_cast<double>(value)))
    throw UsageError(fmt::format("{}: {} is \"{}\", expected a {}number", at(node), what, written,
                                 std::is_integral_v<T> ? "whole " : ""));
  return value;
}

Precision Document::precision(const YAML::Node& node, const std::string& what) const {
  return parse_precision(text(node, what), fmt::format("{}: {}", at(node), what));
}

std::vector<Range> Document::ranges(const Fields& rule, const std::string& key, std::int64_t count) const {
  const auto found = rule.find(key);
  if (found == rule.end()) return {{.first = 0, .last = count - 1}};
  std::vector<YAML::Node> entries;
  if (found->second.IsSequence()) {
    for (const auto& entry : found->second) entries.push_back(entry);
  } else {
    entries.push_back(found->second);
  }
  if (entries.empty()) throw UsageError(fmt::format("{}: {} is an empty list", at(found->second), key));
  std::vector<Range> ranges;
  for (const YAML::Node& entry : entries) {
    const std::string where = fmt::format("{}: {}", at(entry), key);
    ranges.push_back(range_from(text(entry, key), where));
    check_within(ranges.back(), key, count, where);
  }
  return ranges;
}

PlanTarget target_from(const Document& document, const YAML::Node& node) {
  const Fields fields =
      document.fields(node, "made_for", {{"model", "model_hash", "scheduler", "layers", "timesteps"}, {}});
  PlanTarget target{.model = document.text(fields.at("model"), "model"),
                    .model_hash = document.text(fields.at("model_hash"), "model_hash"),
                    .scheduler = document.text(fields.at("scheduler"), "scheduler"),
                    .layers = document.number<std::int64_t>(fields.at("layers"), "layers"),
                    .timesteps = {}};
  const YAML::Node& timesteps = fields.at("timesteps");
  if (!timesteps.IsSequence())
    throw UsageError(
        fmt::format("{}: timesteps is not a list, expected one such as [999, 979]", document.at(timesteps)));
  for (const auto& timestep : timesteps)
    target.timesteps.push_back(document.number<std::int64_t>(timestep, "a timestep"));
  if (const std::string problem = problem_of(target); !problem.empty())
    throw UsageError(fmt::format("{}: {}", document.at(node), problem));
  return target;
}

// What the rules have said so far of every cell.
class Cells {
 public:
  explicit Cells(const PlanTarget& target)
      : cells_(target.steps(), std::vector<Cell>(static_cast<std::size_t>(target.layers))) {}

  // where: the rule's place, for the error when something is said twice.
  void set(const Range& steps, const Range& layers, Precision precision, int line, const std::string& where) {
    for (std::int64_t step = steps.first; step <= steps.last; ++step) {
      for (std::int64_t layer = layers.first; layer <= layers.last; ++layer) {
        Cell& cell = cells_[static_cast<std::size_t>(step)][static_cast<std::size_t>(layer)];
        if (cell.precision)
          throw UsageError(fmt::format("{}: layer {} of step {} is named a second time, first in line {}", where, layer,
                                       step, cell.line));
        cell = {.precision = precision, .line = line};
      }
    }
  }

  [[nodiscard]] std::vector<PrecisionRow> rows(std::optional<Precision> fallback, const std::string& name) const {
    std::vector<PrecisionRow> rows;
    for (const std::vector<Cell>& cells : cells_) {
      PrecisionRow row;
      for (const Cell& cell : cells) {
        if (!cell.precision && !fallback)
          throw UsageError(fmt::format("{}: no rule names layer {} of step {}", name, row.size(), rows.size()),
                           "add a default, or a rule that names it");
        row.push_back(cell.precision ? *cell.precision : *fallback);
      }
      rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  struct Cell {
    std::optional<Precision> precision;
    int line = 0;  // of the rule
  };
  std::vector<std::vector<Cell>> cells_;
};

void apply_rule(Cells& cells, const Document& document, const YAML::Node& node, const PlanTarget& target) {
  const Fields rule = document.fields(node, "a rule", {{"precision"}, {"layers", "steps"}});
  const Precision precision = document.precision(rule.at("precision"), "precision");
  if (rule.size() == 1)
    throw UsageError(fmt::format("{}: a rule without layers and steps names every cell", document.at(node)),
                     fmt::format("write default: {}", name_of(precision)));
  const std::vector<Range> layers = document.ranges(rule, "layers", target.layers);
  for (const Range& in_steps : document.ranges(rule, "steps", static_cast<std::int64_t>(target.steps()))) {
    for (const Range& in_layers : layers)
      cells.set(in_steps, in_layers, precision, node.Mark().line + 1, document.at(node));
  }
}

Plan plan_from(const Document& document, const YAML::Node& root) {
  if (!root.IsMap() || !root["bitreel_plan"])
    throw UsageError(fmt::format("{}: is no precision plan, expected \"bitreel_plan: {}\" and more", document.name(),
                                 plan_format_version),
                     "bitreel plan MEASURED.json --output PLAN.yaml makes one");
  // The version before the keys: another version may have others.
  const YAML::Node version_node = root["bitreel_plan"];
  const auto version = document.number<std::int64_t>(version_node, "bitreel_plan");
  if (version != plan_format_version)
    throw UsageError(fmt::format("{}: format version {}, this program reads version {}", document.at(version_node),
                                 version, plan_format_version));
  const Fields fields =
      document.fields(root, "the plan", {{"bitreel_plan", "made_for"}, {"note", "bound", "default", "rules"}});

  PlanTarget made_for = target_from(document, fields.at("made_for"));
  Cells cells(made_for);
  if (fields.contains("rules")) {
    const YAML::Node& rules = fields.at("rules");
    if (!rules.IsSequence()) throw UsageError(fmt::format("{}: rules is not a list", document.at(rules)));
    for (const auto& rule : rules) apply_rule(cells, document, rule, made_for);
  }
  std::optional<Precision> fallback;
  if (fields.contains("default")) fallback = document.precision(fields.at("default"), "default");

  Plan plan(std::move(made_for), cells.rows(fallback, document.name()));
  if (fields.contains("note")) plan.note = document.text(fields.at("note"), "note");
  if (fields.contains("bound")) {
    plan.bound = document.number<double>(fields.at("bound"), "bound");
    if (*plan.bound <= 0)
      throw UsageError(
          fmt::format("{}: bound is {}, expected an error above 0", document.at(fields.at("bound")), *plan.bound));
  }
  return plan;
}

}  // namespace

Plan plan_from_yaml(const std::string& text, const std::string& name) {
  try {
    return plan_from(Document(name), YAML::Load(text));
  } catch (const YAML::Exception& e) {  // yaml-cpp's own type: translated here, where the file's name is known
    throw UsageError(fmt::format("{}:{}: {}", name, e.mark.line + 1, e.msg));
  }
}

Plan read_plan(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  if (std::filesystem::is_directory(file) || !stream || !(text << stream.rdbuf()))
    throw UsageError(fmt::format("{}: cannot be read, expected a precision plan", file.string()),
                     "bitreel plan MEASURED.json --output PLAN.yaml makes one");
  return plan_from_yaml(text.str(), file.string());
}

}  // namespace bitreel
