// Plans from measurements: which cells (layer, step) get how many bits, by measured error and measured time.
//
//   const Planner planner(measurement);
//   const PlannedTable table = planner.share({.eight_bit = 0.3});   // the paper's rule
//   const std::string file = to_yaml(table.plan);                   // plan_file.h
//   const bool worth_it = table.seconds < planner.uniform(Precision::full).seconds && table.error < 0.01;
//   const std::vector<ParetoPoint> front = planner.front();
//
// Error of a cell: 1 - score, by its mean over prompts (or its worst prompt); 0 in full precision. Predicted error of a
// plan: the mean over all its cells. It adds up cell by cell, so cells can be weighed against each other, and it is the
// figure that the paper ranks cells by. Predicted seconds: the sum over cells of the precision's median time per call,
// that is the attention time of one denoising at the measurement's shape.
// Layers and steps that were not sampled take the figures of the nearest sampled layer and nearest timestep.
//
// A candidate that is no faster than one with more bits and no more error buys nothing and is left out; remarks() says
// so. Share: SageAttention2, arXiv 2411.10958v1, adaptive quantization; the other rules are this project's.
// Errors: UsageError where the question has no answer.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "schedulers/precision/measurement.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

enum class PromptStatistic { mean, worst };

struct PlannerOptions {
  // What plans may use; every measured precision and full when empty. full counts as measured.
  std::vector<Precision> precisions = {};
  PromptStatistic judged_by = PromptStatistic::mean;
  std::map<Precision, double> seconds = {};  // of a call on another device, instead of the measured ones
};

// Shares of all cells, from 0 to 1.
struct ShareOptions {
  double eight_bit = 0.3;  // the cells with the worst 4-bit scores leave 4 bits
  double full = 0;         // of those, the ones with the worst 8-bit scores go on to full precision
};

struct PlannedTable {
  Plan plan;  // its bound: the worst error that any of its cells had on any prompt
  double error = 0;
  double seconds = 0;
};

struct ParetoPoint {
  double error = 0;
  double seconds = 0;
};

class Planner {
 public:
  explicit Planner(const Measurement& measurement, const PlannerOptions& options = {});

  // The fastest 4-bit and 8-bit candidates, divided by rank. Where 4 bits buy nothing, 8 bits everywhere; where 8 bits
  // buy nothing, full precision in their place.
  [[nodiscard]] PlannedTable share(const ShareOptions& options) const;
  // Every cell takes its fastest precision that scores at least this. The plan's bound is 1 - score.
  [[nodiscard]] PlannedTable min_score(double score) const;
  // The fastest plan whose predicted error is at most this: all cells start with their fastest precision and the best
  // exchange of time for error is made until the error holds. Within a cell only the convex hull of (seconds, error) is
  // used, so the order of exchanges is that of the linear relaxation (a multiple-choice knapsack: Sinha & Zoltners
  // 1979), and the result is slower than the true optimum by less than one exchange, of hundreds or thousands.
  [[nodiscard]] PlannedTable max_error(double error) const;
  // Every cell in one precision.
  [[nodiscard]] PlannedTable uniform(Precision precision) const;
  // What any plan says of itself under this measurement; it must be for the same layers and timesteps.
  [[nodiscard]] PlannedTable judge(Plan plan) const;

  // Error falls, seconds rise: all the plans that max_error can choose from.
  [[nodiscard]] std::vector<ParetoPoint> front() const;

  [[nodiscard]] const PlanTarget& target() const { return measurement_.design().made_for; }
  // The candidates that are left, fastest first.
  [[nodiscard]] const std::vector<Precision>& candidates() const { return candidates_; }
  // Sentences for people: candidates that buy nothing, cells that were not measured.
  [[nodiscard]] const std::vector<std::string>& remarks() const { return remarks_; }

  // Of a cell of the plan, measured or nearest to it.
  [[nodiscard]] double error(std::size_t layer, std::size_t step, Precision precision) const;
  [[nodiscard]] double worst_error(std::size_t layer, std::size_t step, Precision precision) const;
  [[nodiscard]] double seconds(Precision precision) const;

 private:
  struct Exchange;

  [[nodiscard]] double mean_error(Precision precision) const;
  [[nodiscard]] const CellStatistics& cell(std::size_t layer, std::size_t step, Precision precision) const;
  [[nodiscard]] std::vector<Precision> of_bits(int bits) const;
  [[nodiscard]] std::vector<PrecisionRow> filled(Precision precision) const;
  void leave_out_what_buys_nothing();
  // The fastest precision of every cell, and all exchanges in the order in which they pay.
  [[nodiscard]] std::vector<PrecisionRow> fastest() const;
  [[nodiscard]] std::vector<Exchange> exchanges() const;
  [[nodiscard]] PlannedTable table_of(std::vector<PrecisionRow> rows) const;

  Measurement measurement_;
  PromptStatistic judged_by_;
  std::map<Precision, double> seconds_;
  std::vector<std::int64_t> nearest_layer_, nearest_step_;  // the sampled ones, by layer and step of the plan
  std::vector<Precision> candidates_;
  std::vector<std::string> remarks_;
};

}  // namespace bitreel
