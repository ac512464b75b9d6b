// What a person may ask of attention: a precision, a one-line plan, or the name of a plan file.
//
//   AttentionChoice choice = parse_attention("first-last:3=int8,rest=int4");  // before anything is loaded
//   const Plan plan = resolve(choice, target);                                // once layers and timesteps are known
//
// One-liner: rules separated by commas; for each cell the first rule that holds it decides, and every cell needs one.
//   int8                            every layer of every step (as any precision's name; the same as rest=int8)
//   first-last:3=int8,rest=int4     the first three and the last three steps; also first:3 and last:3
//   steps:0-4+10=int8,rest=int4     steps by number, counted from 0
//   layers:0+7-9=full,rest=int8     layers by number, counted from 0, in every step
// Steps here are those of this run: nothing is mapped. A plan file (plan_file.h) is mapped by timestep, and is refused
// for another model or scheduler than its own unless PlanUse accepts it. A text that ends in .yaml or .yml or has a
// slash in it is a file.
// Errors: UsageError naming the rule, what was got and what is expected, with the nearest known name.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "attention/precision.h"
#include "schedulers/precision/plan.h"
#include "schedulers/precision/ranges.h"

namespace bitreel {

enum class RuleScope { first_steps, last_steps, first_and_last_steps, steps, layers, rest };

// One rule of a one-liner.
struct PlanRule {
  RuleScope scope = RuleScope::rest;
  std::int64_t count = 0;      // of first_steps, last_steps, first_and_last_steps
  std::vector<Range> numbers;  // of steps, layers
  Precision precision = Precision::full;
  std::string text;  // as written, for errors
};

struct AttentionChoice {
  std::string text = "full";  // as written
  // Rules of a precision or a one-liner, or the plan that was read from a file.
  std::variant<std::vector<PlanRule>, Plan> meaning = std::vector<PlanRule>{PlanRule{}};
};

// Ends in .yaml or .yml, or has a slash in it.
bool names_plan_file(std::string_view text);

// Reads the file if the text names one. where: how the person named it, for errors ("clip.yaml:3: attention").
AttentionChoice parse_attention(const std::string& text, const std::string& where = "`attention`");

// The plan for this run, one row per timestep of the run.
Plan resolve(const AttentionChoice& choice, const PlanTarget& run, const PlanUse& use = {});

// The precision of that name; UsageError naming the nearest one.
Precision parse_precision(std::string_view name, const std::string& where);

}  // namespace bitreel
