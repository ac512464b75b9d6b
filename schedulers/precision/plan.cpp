#include "schedulers/precision/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>

#include "base/error.h"

namespace bitreel {
namespace {

std::map<Precision, std::size_t> counts_of(const std::vector<PrecisionRow>& rows) {
  std::map<Precision, std::size_t> counts;
  for (const PrecisionRow& row : rows) {
    for (const Precision precision : row) ++counts[precision];
  }
  return counts;
}

// One character each: the first of so many bits gets their number (# for full), further ones letters.
std::map<Precision, char> symbols_of(const Plan& plan) {
  std::map<int, std::string_view> left = {{full_bits, "#"}, {8, "8abcdefg"}, {4, "4vwxyz"}};
  std::map<Precision, char> symbols;
  for (const auto& [precision, count] : counts_of(plan.rows())) {
    std::string_view& names = left.try_emplace(bits_of(precision), "ijklmnop").first->second;
    symbols[precision] = names.front();
    names.remove_prefix(1);
  }
  return symbols;
}

bool accepts(const PlanUse& use, const std::string& name) {
  return std::ranges::find(use.accepted, name) != use.accepted.end();
}

}  // namespace

Plan::Plan(PlanTarget made_for, std::vector<PrecisionRow> rows)
    : made_for_(std::move(made_for)), rows_(std::move(rows)) {
  if (const std::string problem = problem_of(made_for_); !problem.empty())
    throw Error(fmt::format("a precision plan: {}", problem));
  if (rows_.size() != made_for_.steps())
    throw Error(fmt::format("a plan for {} steps has {} rows", made_for_.steps(), rows_.size()));
  for (const PrecisionRow& row : rows_) {
    if (row.size() != static_cast<std::size_t>(made_for_.layers))
      throw Error(fmt::format("a plan for {} layers has a row of {}", made_for_.layers, row.size()));
  }
}

const PrecisionRow& Plan::row(std::int64_t timestep) const {
  // min_element keeps the first of equals, and timesteps fall: the noisier one.
  const auto nearest = std::ranges::min_element(
      made_for_.timesteps, {}, [timestep](std::int64_t candidate) { return std::abs(candidate - timestep); });
  return rows_[static_cast<std::size_t>(nearest - made_for_.timesteps.begin())];
}

Plan Plan::on(const std::vector<std::int64_t>& timesteps) const {
  std::vector<PrecisionRow> rows(timesteps.size());
  std::ranges::transform(timesteps, rows.begin(), [this](std::int64_t timestep) { return row(timestep); });
  PlanTarget target = made_for_;
  target.timesteps = timesteps;
  Plan plan(std::move(target), std::move(rows));
  plan.bound = bound;
  plan.note = note;
  return plan;
}

std::vector<Precision> Plan::precisions() const {
  std::vector<Precision> all;
  for (const auto& [precision, count] : counts_of(rows_)) all.push_back(precision);
  return all;
}

std::string Plan::hash() const {
  std::uint64_t hash = 14695981039346656037ULL;
  const auto mix = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  };
  for (std::size_t step = 0; step < rows_.size(); ++step) {
    mix(fmt::format("{}:", made_for_.timesteps[step]));
    for (const Precision precision : rows_[step]) mix(fmt::format("{},", name_of(precision)));
    mix("\n");
  }
  return fmt::format("{:016x}", hash);
}

std::string table_text(const Plan& plan) {
  const auto symbols = symbols_of(plan);
  const std::int64_t layers = plan.made_for().layers;
  const std::size_t width = std::to_string(layers - 1).size();
  std::string text;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    text += fmt::format("layer {:>{}}  ", layer, width);
    for (const PrecisionRow& row : plan.rows()) text += symbols.at(row[static_cast<std::size_t>(layer)]);
    text += '\n';
  }
  std::string legend;
  for (const auto& [precision, symbol] : symbols)
    legend += fmt::format("{}{} {}", legend.empty() ? "" : ", ", symbol, name_of(precision));
  const PlanTarget& target = plan.made_for();
  return text + fmt::format("{}; {} steps, timesteps {} to {}\n", legend, target.steps(), target.timesteps.front(),
                            target.timesteps.back());
}

std::string shares_text(const Plan& plan) {
  return shares_text(plan.rows());
}

std::string shares_text(const std::vector<PrecisionRow>& rows) {
  const auto counts = counts_of(rows);
  std::vector<std::pair<Precision, std::size_t>> sorted(counts.begin(), counts.end());
  std::ranges::stable_sort(sorted, std::ranges::greater(), &std::pair<Precision, std::size_t>::second);
  std::size_t cells = 0;
  for (const auto& [precision, count] : sorted) cells += count;
  std::string text;
  for (const auto& [precision, count] : sorted)
    text += fmt::format("{}{} {:.1f} %", text.empty() ? "" : ", ", name_of(precision),
                        100.0 * static_cast<double>(count) / static_cast<double>(cells));
  return text;
}

void check_fits(const Plan& plan, const PlanTarget& run, const PlanUse& use, const std::string& origin) {
  const PlanTarget& made = plan.made_for();
  if (made.layers != run.layers)
    throw UsageError(fmt::format("{}: made for {} layers, {} has {}", origin, made.layers, run.model, run.layers));
  if (made.model_hash != run.model_hash && !accepts(use, made.model))
    throw UsageError(
        fmt::format("{}: made for the model {} ({}), this is {} ({})", origin, made.model, made.model_hash, run.model,
                    run.model_hash),
        fmt::format("bitreel calibrate measures this one; `accept_plan_of` {} takes it as it is", made.model));
  if (made.scheduler != run.scheduler && !accepts(use, made.scheduler))
    throw UsageError(
        fmt::format("{}: made for the scheduler {}, this run has {}", origin, made.scheduler, run.scheduler),
        fmt::format("`scheduler` {0}, or `accept_plan_of` {0} to take it as it is", made.scheduler));
}

}  // namespace bitreel
