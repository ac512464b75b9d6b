#include "schedulers/precision/guard.h"

#include <fmt/format.h>

#include "base/error.h"

namespace bitreel {
namespace {

double bound_of(const Plan& plan, const GuardOptions& options) {
  if (options.every < 1)
    throw UsageError(fmt::format("the guard looks every {} steps, expected 1 or more", options.every));
  if (!(options.slack > 0)) throw UsageError(fmt::format("the guard's slack is {:g}, expected above 0", options.slack));
  const std::optional<double> bound = options.bound ? options.bound : plan.bound;
  if (!bound)
    throw UsageError("the plan has no bound for the guard to keep",
                     "give one with the guard, or use a plan that bitreel plan made");
  if (!(*bound > 0)) throw UsageError(fmt::format("the guard's bound is {:g}, expected an error above 0", *bound));
  return *bound * options.slack;
}

}  // namespace

std::string text_of(const GuardEvent& event) {
  return fmt::format("step {}, layer {}: error {:.3g} is above the bound {:.3g}; {} instead of {} from step {} on",
                     event.step, event.layer, event.error, event.bound, name_of(event.to), name_of(event.from),
                     event.step + 1);
}

Guard::Guard(Plan plan, const GuardOptions& options, std::vector<GuardEvent> events)
    : plan_(std::move(plan)), bound_(bound_of(plan_, options)), every_(options.every), events_(std::move(events)) {}

std::int64_t Guard::head(std::int64_t step, std::int64_t layer, std::int64_t heads) const {
  return (step / every_ + layer) % heads;
}

PrecisionRow Guard::row(std::int64_t step) const {
  PrecisionRow row = plan_.rows()[static_cast<std::size_t>(step) % plan_.rows().size()];
  for (const GuardEvent& event : events_) {
    Precision& precision = row[static_cast<std::size_t>(event.layer)];
    if (event.step < step && bits_of(precision) < bits_of(event.to)) precision = event.to;
  }
  return row;
}

std::optional<GuardEvent> Guard::observe(std::int64_t step, std::int64_t layer, const CellError& error) {
  const Precision here = row(step).at(static_cast<std::size_t>(layer));
  if (here == Precision::full)
    throw Error(fmt::format("layer {} of step {} runs in full precision: there is nothing to guard", layer, step));
  const double seen = 1 - error.score();
  if (seen <= bound_) return std::nullopt;
  events_.push_back(
      {.step = step, .layer = layer, .from = here, .to = more_bits(here), .error = seen, .bound = bound_});
  return events_.back();
}

}  // namespace bitreel
