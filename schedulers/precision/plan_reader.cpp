#include <fmt/format.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strict_yaml.h"
#include "schedulers/precision/attention_choice.h"
#include "schedulers/precision/plan_file.h"
#include "schedulers/precision/ranges.h"

namespace bitreel {
namespace {

using Fields = std::map<std::string, YAML::Node>;

Precision precision_at(const StrictYaml& yaml, const YAML::Node& node, const std::string& what) {
  return parse_precision(yaml.text(node, what), fmt::format("{}: {}", yaml.at(node), what));
}

// One range below `count` or a list of them; everything when the key is left out.
std::vector<Range> ranges_at(const StrictYaml& yaml, const Fields& rule, const std::string& key, std::int64_t count) {
  const auto found = rule.find(key);
  if (found == rule.end()) return {{.first = 0, .last = count - 1}};
  std::vector<YAML::Node> entries{found->second};
  if (found->second.IsSequence()) entries = yaml.list(found->second, key);
  std::vector<Range> ranges;
  for (const YAML::Node& entry : entries) {
    const std::string where = fmt::format("{}: {}", yaml.at(entry), key);
    ranges.push_back(range_from(yaml.text(entry, key), where));
    check_within(ranges.back(), key, count, where);
  }
  return ranges;
}

PlanTarget target_from(const StrictYaml& yaml, const YAML::Node& node) {
  const Fields fields = yaml.map(node, "made_for", {"model", "model_hash", "scheduler", "layers", "timesteps"}, {});
  PlanTarget target{.model = yaml.text(fields.at("model"), "model"),
                    .model_hash = yaml.text(fields.at("model_hash"), "model_hash"),
                    .scheduler = yaml.text(fields.at("scheduler"), "scheduler"),
                    .layers = yaml.number<std::int64_t>(fields.at("layers"), "layers"),
                    .timesteps = {}};
  for (const YAML::Node& timestep : yaml.list(fields.at("timesteps"), "timesteps"))
    target.timesteps.push_back(yaml.number<std::int64_t>(timestep, "a timestep"));
  if (const std::string problem = problem_of(target); !problem.empty())
    throw UsageError(fmt::format("{}: {}", yaml.at(node), problem));
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

void apply_rule(Cells& cells, const StrictYaml& yaml, const YAML::Node& node, const PlanTarget& target) {
  const Fields rule = yaml.map(node, "a rule", {"precision"}, {"layers", "steps"});
  const Precision precision = precision_at(yaml, rule.at("precision"), "precision");
  if (rule.size() == 1)
    throw UsageError(fmt::format("{}: a rule without layers and steps names every cell", yaml.at(node)),
                     fmt::format("write default: {}", name_of(precision)));
  const std::vector<Range> layers = ranges_at(yaml, rule, "layers", target.layers);
  for (const Range& in_steps : ranges_at(yaml, rule, "steps", static_cast<std::int64_t>(target.steps()))) {
    for (const Range& in_layers : layers)
      cells.set(in_steps, in_layers, precision, node.Mark().line + 1, yaml.at(node));
  }
}

Plan plan_from(const StrictYaml& yaml) {
  const YAML::Node& root = yaml.root();
  if (!root.IsMap() || !root["bitreel_plan"])
    throw UsageError(fmt::format("{}: is no precision plan, expected \"bitreel_plan: {}\" and more", yaml.name(),
                                 plan_format_version),
                     "bitreel plan makes one of a measurement");
  // The version before the keys: another version may have others.
  const YAML::Node version_node = root["bitreel_plan"];
  const auto version = yaml.number<std::int64_t>(version_node, "bitreel_plan");
  if (version != plan_format_version)
    throw UsageError(fmt::format("{}: format version {}, this program reads version {}", yaml.at(version_node), version,
                                 plan_format_version));
  const Fields fields = yaml.map(root, "the plan", {"bitreel_plan", "made_for"}, {"note", "bound", "default", "rules"});

  PlanTarget made_for = target_from(yaml, fields.at("made_for"));
  Cells cells(made_for);
  if (fields.contains("rules")) {
    for (const YAML::Node& rule : yaml.list(fields.at("rules"), "rules")) apply_rule(cells, yaml, rule, made_for);
  }
  std::optional<Precision> fallback;
  if (fields.contains("default")) fallback = precision_at(yaml, fields.at("default"), "default");

  Plan plan(std::move(made_for), cells.rows(fallback, yaml.name()));
  if (fields.contains("note")) plan.note = yaml.text(fields.at("note"), "note");
  if (fields.contains("bound")) {
    plan.bound = yaml.number<double>(fields.at("bound"), "bound");
    if (*plan.bound <= 0)
      throw UsageError(
          fmt::format("{}: bound is {}, expected an error above 0", yaml.at(fields.at("bound")), *plan.bound));
  }
  return plan;
}

}  // namespace

Plan plan_from_yaml(const std::string& text, const std::string& name) {
  return plan_from(StrictYaml::parse(text, name));
}

Plan read_plan(const std::filesystem::path& file) {
  return plan_from(StrictYaml::open(file));
}

}  // namespace bitreel
