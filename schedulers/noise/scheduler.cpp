#include "schedulers/noise/scheduler.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "schedulers/noise/coefficient.h"
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

at::Tensor NoiseScheduler::predicted_original(const at::Tensor& prediction, std::int64_t timestep,
                                              const at::Tensor& sample) const {
  const double alpha_bar = schedule_.alpha_bar(timestep);
  const at::Tensor signal = coefficient(std::sqrt(alpha_bar));
  const at::Tensor noise = coefficient(std::sqrt(1.0 - alpha_bar));
  switch (schedule_.prediction_type()) {
    case PredictionType::v_prediction:
      return signal * sample - noise * prediction;
    case PredictionType::epsilon:
      return (sample - noise * prediction) / signal;
    case PredictionType::sample:
      break;
  }
  return prediction;
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
