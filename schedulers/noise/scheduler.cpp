#include "schedulers/noise/scheduler.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "schedulers/noise/kinds.h"

namespace bitreel {
namespace {

struct Kind {
  SchedulerKind kind;
  std::string_view name;
  std::unique_ptr<NoiseScheduler> (*make)(NoiseSchedule schedule);
};

constexpr std::array kinds = {SchedulerKind::ddim, SchedulerKind::dpm, SchedulerKind::dpm_multistep};

Kind entry_of(SchedulerKind kind) {
  switch (kind) {
    case SchedulerKind::ddim:
      return {kind, "ddim", make_ddim};
    case SchedulerKind::dpm:
      return {kind, "dpm", make_dpm};
    case SchedulerKind::dpm_multistep:
      return {kind, "dpm-multistep", nullptr};
  }
  throw Error("there is no such scheduler");
}

}  // namespace

void NoiseScheduler::restore(const NamedTensors& state) {
  NamedTensors left = state;
  take(left);
  if (!left.empty())
    throw Error(fmt::format("the state holds {}, which this scheduler does not keep", left.begin()->first),
                "go on with the scheduler that began");
}

at::Tensor NoiseScheduler::step(const at::Tensor& prediction, std::size_t index, const at::Tensor& sample,
                                const at::Generator& generator) {
  return step_by([&](const StepTerms& terms) { return moved_by(terms, prediction, sample); }, index, sample, generator);
}

StepTerms NoiseScheduler::terms_at(std::int64_t timestep) const {
  const double alpha_bar = schedule_.alpha_bar(timestep);
  return {.type = schedule_.prediction_type(), .signal = std::sqrt(alpha_bar), .noise = std::sqrt(1.0 - alpha_bar)};
}

std::unique_ptr<NoiseScheduler> make_scheduler(SchedulerKind kind, NoiseSchedule schedule) {
  const Kind entry = entry_of(kind);
  if (entry.make == nullptr) throw Error(fmt::format("the scheduler {} does not move on this schedule", entry.name));
  return entry.make(std::move(schedule));
}

std::span<const SchedulerKind> all_schedulers() {
  return kinds;
}

std::string_view name_of(SchedulerKind kind) {
  return entry_of(kind).name;
}

}  // namespace bitreel
