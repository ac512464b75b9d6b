// Noise schedulers: how latents move from one timestep to the next, given what the model predicts.
//
//   auto scheduler = make_ddim(NoiseSchedule(config, 50));
//   for (size_t i = 0; i < scheduler->schedule().timesteps().size(); ++i)
//     latents = scheduler->step(prediction, i, latents, generator);
//
// prediction: fp32, any shape; sample: same shape, the model's dtype; the result is in the promoted dtype, as in the
// peer, and the caller casts it. Coefficients are 0-dim fp64 tensors because that is how the peer rounds them for
// half-precision samples (pipelines.md I.8).
// Sources: DDIM, arXiv 2010.02502, eq. 12; SDE-DPM-Solver++ (2M), arXiv 2211.01095; pipelines.md B.3.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

#include "schedulers/noise/schedule.h"

namespace bitreel {

class NoiseScheduler {
 public:
  explicit NoiseScheduler(NoiseSchedule schedule) : schedule_(std::move(schedule)) {}
  virtual ~NoiseScheduler() = default;
  NoiseScheduler(const NoiseScheduler&) = delete;
  NoiseScheduler& operator=(const NoiseScheduler&) = delete;

  [[nodiscard]] const NoiseSchedule& schedule() const { return schedule_; }
  // The sample after step `index`. Steps must be taken in order: a multistep solver remembers the last prediction.
  virtual at::Tensor step(const at::Tensor& prediction, std::size_t index, const at::Tensor& sample,
                          const at::Generator& generator) = 0;
  // What a multistep solver remembers between two steps, undefined when nothing; and the same in another run.
  [[nodiscard]] virtual at::Tensor memory() const { return {}; }
  virtual void remember(const at::Tensor& /*memory*/) {}

 protected:
  // x0 as the prediction implies it at this timestep (v: Salimans & Ho, arXiv 2202.00512).
  [[nodiscard]] at::Tensor predicted_original(const at::Tensor& prediction, std::int64_t timestep,
                                              const at::Tensor& sample) const;

 private:
  NoiseSchedule schedule_;
};

// CogVideoXDDIMScheduler: deterministic; the generator is not used.
std::unique_ptr<NoiseScheduler> make_ddim(NoiseSchedule schedule);
// CogVideoXDPMScheduler: stochastic; draws twice in every step that is neither first nor last, as the peer does.
std::unique_ptr<NoiseScheduler> make_dpm(NoiseSchedule schedule);

}  // namespace bitreel
