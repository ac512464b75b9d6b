#include <ATen/ATen.h>

#include <cmath>

#include "schedulers/noise/coefficient.h"
#include "schedulers/noise/scheduler.h"

namespace bitreel {
namespace {

class Ddim final : public NoiseScheduler {
 public:
  using NoiseScheduler::NoiseScheduler;

  at::Tensor step(const at::Tensor& prediction, std::size_t index, const at::Tensor& sample,
                  const at::Generator& /*generator*/) override {
    const std::int64_t timestep = schedule().timesteps().at(index);
    const double alpha_bar = schedule().alpha_bar(timestep);
    const double alpha_bar_next = schedule().alpha_bar_previous(timestep);
    const at::Tensor original = predicted_original(prediction, timestep, sample);
    const double a = std::sqrt((1.0 - alpha_bar_next) / (1.0 - alpha_bar));
    const double b = std::sqrt(alpha_bar_next) - std::sqrt(alpha_bar) * a;
    return coefficient(a) * sample + coefficient(b) * original;
  }
};

}  // namespace

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

std::unique_ptr<NoiseScheduler> make_ddim(NoiseSchedule schedule) {
  return std::make_unique<Ddim>(std::move(schedule));
}

}  // namespace bitreel
