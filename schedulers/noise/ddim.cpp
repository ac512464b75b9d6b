#include <ATen/ATen.h>

#include <cmath>

#include "schedulers/noise/coefficient.h"
#include "schedulers/noise/kinds.h"

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

std::unique_ptr<NoiseScheduler> make_ddim(NoiseSchedule schedule) {
  return std::make_unique<Ddim>(std::move(schedule));
}

}  // namespace bitreel
