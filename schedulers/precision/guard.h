// Watches a plan while it runs: where a sampled call errs more than the plan's bound, its layer gets more bits.
//
//   Guard guard(plan, {.every = 5});
//   for (std::int64_t step = 0; step < steps; ++step) {
//     const PrecisionRow row = guard.row(step);   // the plan's, or more bits where the guard has moved a layer
//     if (!guard.due(step)) continue;             // one head of each layer that is not in full precision
//     for (std::int64_t layer = 0; layer < std::ssize(row); ++layer) {
//       if (row[layer] != Precision::full) guard.observe(step, layer, error_of_head(guard.head(step, layer, heads)));
//     }
//   }
//
// Logic only: the caller computes the sampled head in full precision too and hands in the two outputs' error.
// An error above the bound, or one that is NaN, moves the layer to more bits (4, 8, full: more_bits()) from the next
// step on: its cells get at least so many bits to the end; it never moves down again. Steps and layers count from 0. A
// single head errs more than all heads together, on which measured bounds rest: see GuardOptions.slack.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schedulers/precision/measurement.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

struct GuardOptions {
  std::int64_t every = 5;            // looks at steps 0, 5, 10, ...
  std::optional<double> bound = {};  // instead of the plan's
  double slack = 1;                  // the bound is multiplied by this
};

struct GuardEvent {
  std::int64_t step = 0, layer = 0;
  Precision from = Precision::full, to = Precision::full;
  double error = 0, bound = 0;
  friend bool operator==(const GuardEvent&, const GuardEvent&) = default;
};

// "step 5, layer 3: error 0.21 is above the bound 0.15; int8 instead of int4 from step 6 on"
std::string text_of(const GuardEvent& event);

class Guard {
 public:
  // events: of the steps before, when a run is taken up again.
  // UsageError when neither the plan nor the options have a bound, or an option makes no sense.
  Guard(Plan plan, const GuardOptions& options, std::vector<GuardEvent> events = {});

  [[nodiscard]] double bound() const { return bound_; }
  [[nodiscard]] bool due(std::int64_t step) const { return step % every_ == 0; }
  // Which head to look at: the next one at every look, another one in each layer.
  [[nodiscard]] std::int64_t head(std::int64_t step, std::int64_t layer, std::int64_t heads) const;
  [[nodiscard]] PrecisionRow row(std::int64_t step) const;

  // What follows from a sampled error; empty when it is within the bound. Error unless the layer can still move up.
  std::optional<GuardEvent> observe(std::int64_t step, std::int64_t layer, const CellError& error);
  [[nodiscard]] const std::vector<GuardEvent>& events() const { return events_; }

 private:
  Plan plan_;
  double bound_;
  std::int64_t every_;
  std::vector<GuardEvent> events_;  // rows follow from them
};

}  // namespace bitreel
