#include <ATen/ATen.h>

#include <cmath>

#include "base/error.h"
#include "schedulers/noise/kinds.h"

namespace bitreel {
namespace {

// lambda = ln(signal / noise). Infinite at both ends of a zero-SNR schedule, on purpose: exp and expm1 absorb it.
double log_snr(double alpha_bar) {
  return std::log(std::sqrt(alpha_bar / (1.0 - alpha_bar)));
}

class Dpm final : public NoiseScheduler {
 public:
  using NoiseScheduler::NoiseScheduler;

  at::Tensor step_by(const Move& move, std::size_t index, const at::Tensor& sample,
                     const at::Generator& generator) override {
    const std::int64_t timestep = schedule().timesteps().at(index);
    const double alpha_bar = schedule().alpha_bar(timestep);
    const double alpha_bar_next = schedule().alpha_bar_previous(timestep);
    const double lambda = log_snr(alpha_bar);
    const double h = log_snr(alpha_bar_next) - lambda;
    StepTerms terms = terms_at(timestep);
    terms.keep = std::sqrt((1.0 - alpha_bar_next) / (1.0 - alpha_bar)) * std::exp(-h);
    terms.pull = -std::expm1(-2.0 * h) * std::sqrt(alpha_bar_next);
    terms.stir = std::sqrt(1.0 - alpha_bar_next) * std::sqrt(1.0 - std::exp(-2.0 * h));

    // The peer draws here even when the second-order branch below throws this draw away. Nothing waits for the sample's
    // device before all is drawn, so that a GPU still works on the prediction meanwhile.
    terms.drawn = draw_like(sample, generator);
    if (previous_original_.defined() && schedule().previous(timestep) >= 0) {
      const double lambda_back = log_snr(schedule().alpha_bar(schedule().timesteps().at(index - 1)));
      const double r = (lambda - lambda_back) / h;
      terms.fresh = 1.0 + 1.0 / (2.0 * r);
      terms.stale = 1.0 / (2.0 * r);
      terms.previous = previous_original_;
      terms.drawn = draw_like(sample, generator);
    }
    const Moved moved = move(terms);
    previous_original_ = moved.original;
    return moved.next;
  }

  [[nodiscard]] NamedTensors state() const override {
    if (!previous_original_.defined()) return {};
    return {{"previous_original", previous_original_}};
  }

 private:
  void take(NamedTensors& state) override {
    const auto found = state.find("previous_original");
    if (found == state.end())
      throw Error("the state lacks previous_original, which this scheduler keeps",
                  "go on with the scheduler that began");
    previous_original_ = found->second;
    state.erase(found);
  }

  // Drawn on the generator's device in the sample's dtype, to be moved, in the order of diffusers' randn_tensor.
  static at::Tensor draw_like(const at::Tensor& sample, const at::Generator& generator) {
    return at::randn(sample.sizes(), generator, at::TensorOptions(sample.scalar_type()).device(generator.device()));
  }

  at::Tensor previous_original_;
};

}  // namespace

std::unique_ptr<NoiseScheduler> make_dpm(NoiseSchedule schedule) {
  return std::make_unique<Dpm>(std::move(schedule));
}

}  // namespace bitreel
