#include <cmath>

#include "schedulers/noise/kinds.h"

namespace bitreel {
namespace {

class Ddim final : public NoiseScheduler {
 public:
  using NoiseScheduler::NoiseScheduler;

  at::Tensor step_by(const Move& move, std::size_t index, const at::Tensor& /*sample*/,
                     const at::Generator& /*generator*/) override {
    const std::int64_t timestep = schedule().timesteps().at(index);
    const double alpha_bar = schedule().alpha_bar(timestep);
    const double alpha_bar_next = schedule().alpha_bar_previous(timestep);
    StepTerms terms = terms_at(timestep);
    terms.keep = std::sqrt((1.0 - alpha_bar_next) / (1.0 - alpha_bar));
    terms.pull = std::sqrt(alpha_bar_next) - std::sqrt(alpha_bar) * terms.keep;
    return move(terms).next;
  }
};

}  // namespace

std::unique_ptr<NoiseScheduler> make_ddim(NoiseSchedule schedule) {
  return std::make_unique<Ddim>(std::move(schedule));
}

}  // namespace bitreel
