#include "schedulers/precision/attention_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/nearest.h"
#include "schedulers/precision/plan_file.h"

namespace bitreel {
namespace {

constexpr std::array<std::pair<std::string_view, RuleScope>, 6> scopes = {{
    {"first", RuleScope::first_steps},
    {"last", RuleScope::last_steps},
    {"first-last", RuleScope::first_and_last_steps},
    {"steps", RuleScope::steps},
    {"layers", RuleScope::layers},
    {"rest", RuleScope::rest},
}};

std::vector<std::string> precision_names() {
  std::vector<std::string> names;
  for (const Precision precision : all_precisions()) names.emplace_back(name_of(precision));
  return names;
}

RuleScope scope_from(std::string_view name, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& [known, scope] : scopes) {
    if (known == name) return scope;
    names.emplace_back(known);
  }
  const std::string meant = nearest(name, names);
  throw UsageError(fmt::format("{}: \"{}\" is no place in a plan", where, name),
                   meant.empty() ? "places are first:N, last:N, first-last:N, steps:A-B, layers:A-B and rest"
                                 : fmt::format("did you mean {}?", meant));
}

PlanRule rule_from(std::string_view text, const std::string& option) {
  const std::string where = fmt::format("{}: {}", option, text);
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    throw UsageError(fmt::format("{}: the rule \"{}\" has no =", option, text),
                     "rules are PLACE=PRECISION, such as first-last:3=int8,rest=int4");
  const std::string_view place = text.substr(0, equals);
  const std::size_t colon = place.find(':');
  const std::string_view name = place.substr(0, colon);
  const bool has_numbers = colon != std::string_view::npos;
  const std::string_view numbers = has_numbers ? place.substr(colon + 1) : std::string_view();

  PlanRule rule{.scope = scope_from(name, where),
                .numbers = {},
                .precision = parse_precision(text.substr(equals + 1), where),
                .text = std::string(text)};
  if (has_numbers != (rule.scope != RuleScope::rest))
    throw UsageError(has_numbers ? fmt::format("{}: rest stands alone, without a colon", where)
                                 : fmt::format("{}: {} needs numbers, such as {}:3", where, name, name));
  if (rule.scope == RuleScope::rest) return rule;
  if (rule.scope == RuleScope::steps || rule.scope == RuleScope::layers) {
    for (const std::string_view part : split(numbers, '+')) rule.numbers.push_back(range_from(part, where));
    return rule;
  }
  const Range count = range_from(numbers, where);
  if (count.first != count.last || count.first == 0)
    throw UsageError(fmt::format("{}: {} takes one count from 1, got {}", where, name, numbers));
  rule.count = count.first;
  return rule;
}

bool holds(const PlanRule& rule, std::int64_t layer, std::int64_t step, std::int64_t steps) {
  const auto among = [&rule](std::int64_t number) {
    return std::ranges::any_of(rule.numbers,
                               [number](const Range& range) { return range.first <= number && number <= range.last; });
  };
  const bool early = step < rule.count, late = step >= steps - rule.count;
  switch (rule.scope) {
    case RuleScope::first_steps:
      return early;
    case RuleScope::last_steps:
      return late;
    case RuleScope::first_and_last_steps:
      return early || late;
    case RuleScope::steps:
      return among(step);
    case RuleScope::layers:
      return among(layer);
    case RuleScope::rest:
      return true;
  }
  return false;
}

Plan plan_of(const std::vector<PlanRule>& rules, const PlanTarget& run, const std::string& text) {
  if (const std::string problem = problem_of(run); !problem.empty()) throw Error("this run: " + problem);
  const auto steps = static_cast<std::int64_t>(run.steps());
  for (const PlanRule& rule : rules) {
    const bool by_layer = rule.scope == RuleScope::layers;
    for (const Range& range : rule.numbers)
      check_within(range, by_layer ? "layers" : "steps", by_layer ? run.layers : steps, rule.text);
  }
  std::vector<PrecisionRow> rows(run.steps(), PrecisionRow(static_cast<std::size_t>(run.layers)));
  for (std::int64_t step = 0; step < steps; ++step) {
    for (std::int64_t layer = 0; layer < run.layers; ++layer) {
      const auto rule = std::ranges::find_if(rules, [&](const PlanRule& r) { return holds(r, layer, step, steps); });
      if (rule == rules.end())
        throw UsageError(fmt::format("{}: no rule holds layer {} of step {}", text, layer, step),
                         "end with what all others get: rest=int8");
      rows[static_cast<std::size_t>(step)][static_cast<std::size_t>(layer)] = rule->precision;
    }
  }
  return {run, std::move(rows)};
}

}  // namespace

bool names_plan_file(std::string_view text) {
  return text.ends_with(".yaml") || text.ends_with(".yml") || text.find('/') != std::string_view::npos;
}

Precision parse_precision(std::string_view name, const std::string& where) {
  if (const std::optional<Precision> precision = precision_from(name)) return *precision;
  const std::string meant = nearest(name, precision_names());
  throw UsageError(fmt::format("{}: \"{}\" is no precision", where, name),
                   meant.empty() ? fmt::format("precisions are {}", fmt::join(precision_names(), ", "))
                                 : fmt::format("did you mean {}?", meant));
}

AttentionChoice parse_attention(const std::string& text, const std::string& where) {
  if (names_plan_file(text)) return {.text = text, .meaning = read_plan(text)};
  std::vector<PlanRule> rules;
  if (text.find('=') == std::string::npos && text.find(',') == std::string::npos) {
    if (!precision_from(text) && nearest(text, precision_names()).empty())
      throw UsageError(fmt::format("{} is \"{}\", expected a precision, a one-line plan or a plan file", where, text),
                       fmt::format("precisions are {}; a plan is first-last:3=int8,rest=int4 or a file plan.yaml",
                                   fmt::join(precision_names(), ", ")));
    rules.push_back({.numbers = {}, .precision = parse_precision(text, where), .text = text});
    return {.text = text, .meaning = std::move(rules)};
  }
  for (const std::string_view rule : split(text, ',')) {
    if (!rules.empty() && rules.back().scope == RuleScope::rest)
      throw UsageError(fmt::format("{}: {} stands behind {}, which leaves it nothing", where, rule, rules.back().text),
                       "rest comes last, and once: first-last:3=int8,rest=int4");
    rules.push_back(rule_from(rule, where));
  }
  return {.text = text, .meaning = std::move(rules)};
}

Plan resolve(const AttentionChoice& choice, const PlanTarget& run, const PlanUse& use) {
  if (const auto* rules = std::get_if<std::vector<PlanRule>>(&choice.meaning)) {
    Plan plan = plan_of(*rules, run, choice.text);
    plan.note = choice.text;
    return plan;
  }
  const Plan& plan = std::get<Plan>(choice.meaning);
  check_fits(plan, run, use, choice.text);
  return plan.on(run.timesteps);
}

}  // namespace bitreel
