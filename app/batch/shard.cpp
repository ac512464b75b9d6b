#include "app/batch/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/number_text.h"

namespace bitreel {
namespace {

constexpr int most_shards = 10'000;

std::optional<int> variable(const char* name) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing sets variables here
  if (text == nullptr) return std::nullopt;
  const std::optional<int> value = number_from<int>(text);
  if (!value) throw UsageError(fmt::format("{} is \"{}\", expected a whole number", name, text), "--shard K/N");
  return value;
}

Shard checked(Shard shard, const std::string& where) {
  if (shard.count >= 1 && shard.count <= most_shards && shard.number >= 1 && shard.number <= shard.count) return shard;
  throw UsageError(
      fmt::format("{}: shard {} of {}, expected 1 <= K <= N <= {}", where, shard.number, shard.count, most_shards),
      "--shard 2/4 is the second of four");
}

}  // namespace

std::string name_of(Shard shard) {
  return fmt::format("{}-of-{}", shard.number, shard.count);
}

Shard shard_asked_for(const std::string& text) {
  if (!text.empty()) {
    const std::size_t slash = text.find('/');
    const auto number = number_from<int>(std::string_view(text).substr(0, slash));
    const auto count = slash == std::string::npos ? std::nullopt : number_from<int>(text.substr(slash + 1));
    if (!number || !count) {
      throw UsageError(fmt::format("--shard is \"{}\", expected K/N", text), "--shard 2/4 is the second of four");
    }
    return checked({.number = *number, .count = *count}, "--shard " + text);
  }
  if (const auto id = variable("SLURM_ARRAY_TASK_ID")) {
    const auto count = variable("SLURM_ARRAY_TASK_COUNT");
    if (!count) throw UsageError("SLURM_ARRAY_TASK_ID is set, SLURM_ARRAY_TASK_COUNT is not", "--shard K/N");
    const int step = std::max(variable("SLURM_ARRAY_TASK_STEP").value_or(1), 1);
    const int offset = *id - variable("SLURM_ARRAY_TASK_MIN").value_or(0);
    // --array=1,2,7 has no step: its numbers say nothing about a share.
    if (offset % step != 0)
      throw UsageError("the Slurm array's numbers have no even step", "--array=1-4, or --shard K/N");
    return checked({.number = offset / step + 1, .count = *count}, "SLURM_ARRAY_TASK_ID");
  }
  if (const auto index = variable("JOB_COMPLETION_INDEX")) {
    const auto count = variable("JOB_COMPLETION_COUNT");
    if (!count) {
      throw UsageError("JOB_COMPLETION_INDEX is set, JOB_COMPLETION_COUNT is not",
                       "set it to the Job's completions, or pass --shard K/N");
    }
    return checked({.number = *index + 1, .count = *count}, "JOB_COMPLETION_INDEX");
  }
  return {};
}

std::vector<int> deal(const std::vector<double>& costs, int shards) {
  std::vector<std::size_t> order(costs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
  std::vector<double> loads(static_cast<std::size_t>(shards));
  std::vector<int> owner(costs.size());
  for (const std::size_t job : order) {
    const auto least = std::ranges::min_element(loads);
    *least += costs[job];
    owner[job] = static_cast<int>(least - loads.begin()) + 1;
  }
  return owner;
}

}  // namespace bitreel
