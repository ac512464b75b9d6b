#include "schedulers/precision/measurement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

#include "base/error.h"
#include "base/statistics.h"

namespace bitreel {
namespace {

constexpr double rounding_of_cosines = 1e-6;  // a cosine of equal vectors may come out a little above 1

double further(double a, double b, Worst end) {
  return end == Worst::lowest ? std::min(a, b) : std::max(a, b);
}

std::string text_of(const CellKey& key) {
  return fmt::format("layer {}, step {}, {}", key.layer, key.step, name_of(key.precision));
}

template <class T>
std::size_t index_of(const std::vector<T>& among, const T& wanted, const CellKey& key) {
  const auto found = std::ranges::find(among, wanted);
  if (found == among.end()) throw Error(fmt::format("{} is not part of this measurement", text_of(key)));
  return static_cast<std::size_t>(found - among.begin());
}

std::string problem_of_sample(std::string_view what, const std::vector<std::int64_t>& numbers, std::int64_t count) {
  if (numbers.empty()) return fmt::format("no {} are sampled", what);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 0 || numbers[i] >= count)
      return fmt::format("{} is among the sampled {}, expected 0 to {}", numbers[i], what, count - 1);
    if (i > 0 && numbers[i] <= numbers[i - 1])
      return fmt::format("{} follows {} in the sampled {}, expected them to rise", numbers[i], numbers[i - 1], what);
  }
  return {};
}

// The first thing that differs, as a person calls it; empty when they are the same.
std::string difference(const MeasurementDesign& a, const MeasurementDesign& b) {
  if (a.made_for.model_hash != b.made_for.model_hash || a.made_for.layers != b.made_for.layers)
    return fmt::format("the model: {} ({}) and {} ({})", a.made_for.model, a.made_for.model_hash, b.made_for.model,
                       b.made_for.model_hash);
  if (a.made_for.scheduler != b.made_for.scheduler)
    return fmt::format("the scheduler: {} and {}", a.made_for.scheduler, b.made_for.scheduler);
  if (a.made_for.timesteps != b.made_for.timesteps)
    return fmt::format("the timesteps of {} and {} steps", a.made_for.steps(), b.made_for.steps());
  if (a.device != b.device) return fmt::format("the device: {} and {}", a.device, b.device);
  if (a.shape != b.shape) return "the shape of an attention call";
  if (a.precisions != b.precisions) return "the precisions";
  if (a.heads != b.heads || a.layers != b.layers || a.steps != b.steps) return "the sampled heads, layers or steps";
  return {};
}

}  // namespace

void Spread::add(double value, Worst end) {
  worst = count == 0 ? value : further(worst, value, end);
  ++count;
  const double from_old_mean = value - mean;
  mean += from_old_mean / static_cast<double>(count);
  squares += from_old_mean * (value - mean);
}

void Spread::merge(const Spread& other, Worst end) {
  if (other.count == 0) return;
  if (count == 0) {
    *this = other;
    return;
  }
  const auto ours = static_cast<double>(count), theirs = static_cast<double>(other.count);
  const double apart = other.mean - mean;
  mean += apart * theirs / (ours + theirs);
  squares += other.squares + apart * apart * ours * theirs / (ours + theirs);
  worst = further(worst, other.worst, end);
  count += other.count;
}

double Spread::deviation() const {
  return count < 2 ? 0 : std::sqrt(squares / static_cast<double>(count - 1));
}

void CellStatistics::add(const CellError& error) {
  cosine.add(error.cosine, Worst::lowest);
  relative_l1.add(error.relative_l1, Worst::highest);
  rmse.add(error.rmse, Worst::highest);
  score.add(error.score(), Worst::lowest);
}

void CellStatistics::merge(const CellStatistics& other) {
  cosine.merge(other.cosine, Worst::lowest);
  relative_l1.merge(other.relative_l1, Worst::highest);
  rmse.merge(other.rmse, Worst::highest);
  score.merge(other.score, Worst::lowest);
}

MeasurementDesign MeasurementDesign::whole(PlanTarget made_for, std::string device, AttentionShape shape,
                                           std::vector<Precision> precisions) {
  MeasurementDesign design{.made_for = std::move(made_for),
                           .device = std::move(device),
                           .shape = shape,
                           .heads = std::vector<std::int64_t>(static_cast<std::size_t>(shape.heads)),
                           .layers = {},
                           .steps = {},
                           .precisions = std::move(precisions)};
  design.layers.resize(static_cast<std::size_t>(design.made_for.layers));
  design.steps.resize(design.made_for.steps());
  for (auto* all : {&design.heads, &design.layers, &design.steps}) std::iota(all->begin(), all->end(), 0);
  return design;
}

std::size_t MeasurementDesign::index(const CellKey& key) const {
  const std::size_t layer = index_of(layers, key.layer, key), step = index_of(steps, key.step, key);
  return (step * layers.size() + layer) * precisions.size() + index_of(precisions, key.precision, key);
}

std::string problem_of(const MeasurementDesign& design) {
  if (std::string problem = problem_of(design.made_for); !problem.empty()) return problem;
  if (design.device.empty()) return "the device has no name";
  const AttentionShape& shape = design.shape;
  for (const std::int64_t size : {shape.batch, shape.heads, shape.queries, shape.keys, shape.head_dim}) {
    if (size < 1) return fmt::format("the shape of an attention call holds {}, expected sizes from 1", size);
  }
  const auto steps = static_cast<std::int64_t>(design.made_for.steps());
  for (std::string problem : {problem_of_sample("heads", design.heads, shape.heads),
                              problem_of_sample("layers", design.layers, design.made_for.layers),
                              problem_of_sample("steps", design.steps, steps)}) {
    if (!problem.empty()) return problem;
  }
  if (design.precisions.empty()) return "there are no precisions";
  for (const Precision precision : design.precisions) {
    if (precision == Precision::full) return "full is among the precisions, but it is what they are held against";
    if (std::ranges::count(design.precisions, precision) > 1)
      return fmt::format("the precision {} is given twice", name_of(precision));
  }
  return {};
}

PromptErrors::PromptErrors(const MeasurementDesign& design, MeasuredPrompt prompt)
    : design_(design), prompt_(std::move(prompt)), errors_(design.cells()) {}

void PromptErrors::set(const CellKey& key, const CellError& error) {
  std::optional<CellError>& cell = errors_[design_.index(key)];
  if (cell) throw Error(fmt::format("{} is measured twice", text_of(key)));
  const bool possible = std::abs(error.cosine) <= 1 + rounding_of_cosines && error.relative_l1 >= 0 &&
                        error.rmse >= 0 && std::isfinite(error.relative_l1) && std::isfinite(error.rmse);
  if (!possible)
    throw Error(fmt::format("{}: cosine {}, relative L1 {}, RMSE {} cannot be", text_of(key), error.cosine,
                            error.relative_l1, error.rmse),
                "the captured queries, keys or values may hold NaN or infinity");
  cell = error;
}

Measurement::Measurement(MeasurementDesign design) : design_(std::move(design)) {
  if (const std::string problem = problem_of(design_); !problem.empty()) throw Error("a measurement: " + problem);
  cells_.resize(design_.cells());
}

bool Measurement::has(const MeasuredPrompt& prompt) const {
  return std::ranges::find(prompts_, prompt) != prompts_.end();
}

void Measurement::add(const PromptErrors& errors) {
  if (const std::string differs = difference(design_, errors.design_); !differs.empty())
    throw Error("a prompt was measured by another design; they differ in " + differs);
  if (has(errors.prompt_))
    throw Error(fmt::format("\"{}\" with seed {} is measured already", errors.prompt_.text, errors.prompt_.seed));
  for (const std::int64_t step : design_.steps) {
    for (const std::int64_t layer : design_.layers) {
      for (const Precision precision : design_.precisions) {
        const CellKey key{.layer = layer, .step = step, .precision = precision};
        if (!errors.errors_[design_.index(key)])
          throw Error(fmt::format("\"{}\": {} was not measured", errors.prompt_.text, text_of(key)));
      }
    }
  }
  for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i].add(*errors.errors_[i]);
  prompts_.push_back(errors.prompt_);
}

void Measurement::add_seconds(Precision precision, double seconds) {
  if (precision != Precision::full && std::ranges::find(design_.precisions, precision) == design_.precisions.end())
    throw Error(fmt::format("{} was timed, but is not part of this measurement", name_of(precision)));
  if (!(seconds > 0) || !std::isfinite(seconds))
    throw Error(fmt::format("{} took {} seconds a call, expected a time above 0", name_of(precision), seconds));
  seconds_[precision].push_back(seconds);
}

void Measurement::merge(const Measurement& other, const std::string& name) {
  if (const std::string differs = difference(design_, other.design_); !differs.empty())
    throw Error(fmt::format("{} does not go with the other measurements; they differ in {}", name, differs));
  for (const MeasuredPrompt& prompt : other.prompts_) {
    if (has(prompt))
      throw Error(
          fmt::format("{}: \"{}\" with seed {} is in another measurement already", name, prompt.text, prompt.seed));
  }
  for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i].merge(other.cells_[i]);
  prompts_.insert(prompts_.end(), other.prompts_.begin(), other.prompts_.end());
  for (const auto& [precision, taken] : other.seconds_) {
    std::vector<double>& ours = seconds_[precision];
    ours.insert(ours.end(), taken.begin(), taken.end());
  }
}

const std::vector<double>& Measurement::seconds(Precision precision) const {
  const auto found = seconds_.find(precision);
  if (found == seconds_.end()) throw Error(fmt::format("{} was not timed", name_of(precision)));
  return found->second;
}

double Measurement::median_seconds(Precision precision) const {
  return median(seconds(precision));
}

double Measurement::mean_seconds(Precision precision) const {
  return mean(seconds(precision));
}

}  // namespace bitreel
