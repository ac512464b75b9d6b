// bitreel plan: which layer of which step gets how many bits, from measurements, without running the model again.
//
//   bitreel plan MEASURED.json --share 30% --output plan.yaml
//   bitreel plan MEASURED.json MORE.json --max-error 0.01 --output plan.yaml --pictures out/plan
//   bitreel generate --attention plan.yaml ...
//
// Reports what was measured, the plan and the Pareto front; without --output nothing is written. Several measurements
// must be of one design and of different prompts; together they count as one. Rules: schedulers/precision/planner.h.
// Errors: files that are no measurements, or do not go together (Error); rules that nothing fulfils (UsageError).
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace bitreel {

struct PlanCommand {
  std::vector<std::filesystem::path> measurements;
  std::filesystem::path output = {};  // empty: none
  std::string share = {};             // "30%" or "0.3"
  std::string full_share = {};        // as well
  std::string min_score = {};         // at most one of share, min_score, max_error and rule; none: share 30 %
  std::string max_error = {};
  std::string rule = {};   // sage1-adaptive
  std::string costs = {};  // int4=0.5,int8=0.6: of full precision's time, on another device; empty: as measured
  std::filesystem::path held_out = {};  // a measurement of other prompts to compare ranks with; empty: none
  std::string precisions = {};          // candidates, separated by commas; empty: all
  std::string judged_by = "mean";       // mean, worst
  std::filesystem::path pictures = {};  // folder; empty: none
  std::string format = "both";          // of the pictures: svg, png, both
};

// Writes what the command names and returns the report for the person.
std::string run_plan(const PlanCommand& command);

void add_plan(CLI::App& app);

}  // namespace bitreel
