#include "schedulers/precision/planner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <tuple>

#include "base/error.h"

namespace bitreel {
namespace {

// Less than this share of a call's time is no gain: medians of repeated timings differ by about as much.
constexpr double least_gain = 0.01;
constexpr double rounding_of_sums = 1e-12;  // of sums over cells

// By distance; the first of two that are equally near.
std::int64_t nearest_of(const std::vector<std::int64_t>& sampled, const auto& distance) {
  return *std::ranges::min_element(sampled, {}, distance);
}

void check_share(double share, const char* name) {
  if (!(share >= 0 && share <= 1))
    throw UsageError(fmt::format("{} is {:g} %, expected 0 to 100 %", name, 100 * share));
}

}  // namespace

struct CellIndex {
  std::size_t layer = 0, step = 0;
};

// One cell goes from one precision to a slower one with less error.
struct Planner::Exchange {
  CellIndex cell;
  Precision to;
  double seconds, error;                                          // that it costs; that it takes away
  [[nodiscard]] double worth() const { return error / seconds; }  // seconds are above 0: see fastest()
};

Planner::Planner(const Measurement& measurement, const PlannerOptions& options)
    : measurement_(measurement),
      judged_by_(options.judged_by),
      seconds_(options.seconds),
      candidates_(options.precisions) {
  const MeasurementDesign& design = measurement_.design();
  for (std::int64_t layer = 0; layer < design.made_for.layers; ++layer)
    nearest_layer_.push_back(
        nearest_of(design.layers, [layer](std::int64_t sampled) { return std::abs(sampled - layer); }));
  const std::vector<std::int64_t>& timesteps = design.made_for.timesteps;
  for (const std::int64_t timestep : timesteps)
    nearest_step_.push_back(nearest_of(design.steps, [&](std::int64_t sampled) {
      return std::abs(timesteps[static_cast<std::size_t>(sampled)] - timestep);
    }));
  if (design.layers.size() < nearest_layer_.size() || design.steps.size() < nearest_step_.size())
    remarks_.push_back(
        fmt::format("{} of {} layers and {} of {} steps were measured; the others take the figures of the nearest",
                    design.layers.size(), nearest_layer_.size(), design.steps.size(), nearest_step_.size()));

  if (candidates_.empty()) {
    candidates_ = design.precisions;
    candidates_.push_back(Precision::full);
  }
  for (const Precision candidate : candidates_) {
    if (candidate != Precision::full && std::ranges::find(design.precisions, candidate) == design.precisions.end())
      throw UsageError(fmt::format("{} was not measured", name_of(candidate)),
                       fmt::format("measured are {}", fmt::join(
                                                          [&] {
                                                            std::vector<std::string_view> names;
                                                            for (const Precision p : design.precisions)
                                                              names.push_back(name_of(p));
                                                            return names;
                                                          }(),
                                                          ", ")));
  }
  std::ranges::sort(candidates_, {}, [this](Precision p) { return std::tuple(seconds(p), mean_error(p), p); });
  leave_out_what_buys_nothing();
}

const CellStatistics& Planner::cell(std::size_t layer, std::size_t step, Precision precision) const {
  return measurement_.cell({.layer = nearest_layer_[layer], .step = nearest_step_[step], .precision = precision});
}

double Planner::error(std::size_t layer, std::size_t step, Precision precision) const {
  if (precision == Precision::full) return 0;
  const Spread& score = cell(layer, step, precision).score;
  return 1 - (judged_by_ == PromptStatistic::mean ? score.mean : score.worst);
}

double Planner::worst_error(std::size_t layer, std::size_t step, Precision precision) const {
  return precision == Precision::full ? 0 : 1 - cell(layer, step, precision).score.worst;
}

double Planner::seconds(Precision precision) const {
  const auto given = seconds_.find(precision);
  return given == seconds_.end() ? measurement_.median_seconds(precision) : given->second;
}

double Planner::mean_error(Precision precision) const {
  double sum = 0;
  for (std::size_t step = 0; step < nearest_step_.size(); ++step) {
    for (std::size_t layer = 0; layer < nearest_layer_.size(); ++layer) sum += error(layer, step, precision);
  }
  return sum / static_cast<double>(nearest_step_.size() * nearest_layer_.size());
}

void Planner::leave_out_what_buys_nothing() {
  std::vector<Precision> kept;
  for (const Precision candidate : candidates_) {
    const auto better = std::ranges::find_if(candidates_, [&](Precision other) {
      return bits_of(other) > bits_of(candidate) && seconds(other) <= seconds(candidate) * (1 + least_gain) &&
             mean_error(other) <= mean_error(candidate);
    });
    if (better == candidates_.end()) {
      kept.push_back(candidate);
      continue;
    }
    remarks_.push_back(fmt::format(
        "{} buys nothing on this device: {:.4g} ms a call, {} takes {:.4g} ms with no more error; it is left out",
        name_of(candidate), 1e3 * seconds(candidate), name_of(*better), 1e3 * seconds(*better)));
  }
  candidates_ = std::move(kept);
}

std::vector<Precision> Planner::of_bits(int bits) const {
  std::vector<Precision> found;
  for (const Precision candidate : candidates_) {
    if (bits_of(candidate) == bits) found.push_back(candidate);
  }
  return found;
}

std::vector<PrecisionRow> Planner::filled(Precision precision) const {
  return std::vector<PrecisionRow>(nearest_step_.size(), PrecisionRow(nearest_layer_.size(), precision));
}

PlannedTable Planner::judge(Plan plan) const {
  const PlanTarget& target = measurement_.design().made_for;
  if (plan.made_for().layers != target.layers || plan.made_for().timesteps != target.timesteps)
    throw UsageError("a plan for other layers or timesteps than the measurement's");
  double error_sum = 0, seconds_sum = 0, worst = 0;
  for (std::size_t step = 0; step < plan.rows().size(); ++step) {
    for (std::size_t layer = 0; layer < nearest_layer_.size(); ++layer) {
      const Precision precision = plan.rows()[step][layer];
      error_sum += error(layer, step, precision);
      seconds_sum += seconds(precision);
      worst = std::max(worst, worst_error(layer, step, precision));
    }
  }
  if (!plan.bound && worst > 0) plan.bound = worst;
  const auto cells = static_cast<double>(nearest_step_.size() * nearest_layer_.size());
  return {.plan = std::move(plan), .error = error_sum / cells, .seconds = seconds_sum};
}

PlannedTable Planner::table_of(std::vector<PrecisionRow> rows) const {
  return judge(Plan(measurement_.design().made_for, std::move(rows)));
}

PlannedTable Planner::uniform(Precision precision) const {
  return table_of(filled(precision));
}

PlannedTable Planner::share(const ShareOptions& options) const {
  check_share(options.eight_bit, "the 8-bit share");
  check_share(options.full, "the full-precision share");
  if (options.full > options.eight_bit)
    throw UsageError(fmt::format("the full-precision share {:g} % is part of the 8-bit share {:g} %",
                                 100 * options.full, 100 * options.eight_bit),
                     "give a larger 8-bit share or a smaller full-precision one");
  const std::vector<Precision> four = of_bits(4), eight = of_bits(8);
  if (eight.empty() && of_bits(full_bits).empty())
    throw UsageError("nothing above 4 bits is left to plan with", "let an 8-bit precision or full take part");
  const Precision upper = eight.empty() ? Precision::full : eight.front();
  const bool all_upper = four.empty();

  std::vector<CellIndex> indices;
  for (std::size_t step = 0; step < nearest_step_.size(); ++step) {
    for (std::size_t layer = 0; layer < nearest_layer_.size(); ++layer)
      indices.push_back({.layer = layer, .step = step});
  }
  // Worst first; of equals the earlier step, then the lower layer.
  const auto rank = [this](std::vector<CellIndex>::iterator begin, std::vector<CellIndex>::iterator end, Precision by) {
    std::stable_sort(begin, end, [&](const CellIndex& a, const CellIndex& b) {
      return error(a.layer, a.step, by) > error(b.layer, b.step, by);
    });
  };
  const auto count = [&](double share) {
    return static_cast<std::ptrdiff_t>(std::llround(share * static_cast<double>(indices.size())));
  };
  std::vector<PrecisionRow> rows = filled(all_upper ? upper : four.front());
  const auto end_of_upper = all_upper ? indices.end() : indices.begin() + count(options.eight_bit);
  if (!all_upper) rank(indices.begin(), indices.end(), four.front());
  rank(indices.begin(), end_of_upper, upper);
  for (auto cell = indices.begin(); cell != end_of_upper; ++cell)
    rows[cell->step][cell->layer] = cell - indices.begin() < count(options.full) ? Precision::full : upper;
  return table_of(std::move(rows));
}

PlannedTable Planner::min_score(double score) const {
  if (!(score <= 1)) throw UsageError(fmt::format("the least score is {:g}, expected at most 1", score));
  std::vector<PrecisionRow> rows = filled(Precision::full);
  for (std::size_t step = 0; step < rows.size(); ++step) {
    for (std::size_t layer = 0; layer < rows[step].size(); ++layer) {
      const auto good =
          std::ranges::find_if(candidates_, [&](Precision p) { return 1 - error(layer, step, p) >= score; });
      if (good == candidates_.end())
        throw UsageError(fmt::format("no precision scores {:g} in layer {} of step {}", score, layer, step),
                         "lower `min_score`, or let full precision take part");
      rows[step][layer] = *good;
    }
  }
  Plan plan(measurement_.design().made_for, std::move(rows));
  if (score < 1) plan.bound = 1 - score;
  return judge(std::move(plan));
}

std::vector<PrecisionRow> Planner::fastest() const {
  std::vector<PrecisionRow> rows = filled(candidates_.front());
  for (std::size_t step = 0; step < rows.size(); ++step) {
    for (std::size_t layer = 0; layer < rows[step].size(); ++layer) {
      rows[step][layer] = *std::ranges::min_element(
          candidates_, {}, [&](Precision p) { return std::pair(seconds(p), error(layer, step, p)); });
    }
  }
  return rows;
}

std::vector<Planner::Exchange> Planner::exchanges() const {
  const std::vector<PrecisionRow> start = fastest();
  std::vector<Exchange> all;
  for (std::size_t step = 0; step < start.size(); ++step) {
    for (std::size_t layer = 0; layer < start[step].size(); ++layer) {
      // Along the lower convex hull: always to the candidate that takes away the most error per second from here.
      for (Precision here = start[step][layer];;) {
        std::vector<Exchange> onward;
        for (const Precision to : candidates_) {
          const Exchange exchange{.cell = {.layer = layer, .step = step},
                                  .to = to,
                                  .seconds = seconds(to) - seconds(here),
                                  .error = error(layer, step, here) - error(layer, step, to)};
          if (exchange.seconds > 0 && exchange.error > 0) onward.push_back(exchange);
        }
        if (onward.empty()) break;
        all.push_back(
            *std::ranges::max_element(onward, {}, [](const Exchange& e) { return std::pair(e.worth(), e.seconds); }));
        here = all.back().to;
      }
    }
  }
  std::ranges::stable_sort(all, std::ranges::greater(), &Exchange::worth);
  return all;
}

PlannedTable Planner::max_error(double most) const {
  if (!(most >= 0)) throw UsageError(fmt::format("the largest error is {:g}, expected 0 or more", most));
  std::vector<PrecisionRow> rows = fastest();
  PlannedTable table = table_of(rows);
  const auto cells = static_cast<double>(rows.size() * rows.front().size());
  double error_sum = table.error * cells;
  const std::vector<Exchange> exchanges = this->exchanges();
  for (auto exchange = exchanges.begin(); error_sum / cells > most + rounding_of_sums && exchange != exchanges.end();
       ++exchange) {
    rows[exchange->cell.step][exchange->cell.layer] = exchange->to;
    error_sum -= exchange->error;
  }
  table = table_of(std::move(rows));
  if (table.error > most + rounding_of_sums)
    throw UsageError(
        fmt::format("no plan has a predicted error of {:g} or less, the best has {:.3g}", most, table.error),
        "raise `max_error`, or let full precision take part");
  return table;
}

std::vector<ParetoPoint> Planner::front() const {
  const PlannedTable start = table_of(fastest());
  const auto cells = static_cast<double>(nearest_step_.size() * nearest_layer_.size());
  std::vector<ParetoPoint> points{{.error = start.error, .seconds = start.seconds}};
  for (const Exchange& exchange : exchanges()) {
    const double error = points.back().error - exchange.error / cells;
    points.push_back(
        {.error = error < rounding_of_sums ? 0 : error, .seconds = points.back().seconds + exchange.seconds});
  }
  return points;
}

}  // namespace bitreel
