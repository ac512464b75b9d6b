// Noise schedulers: how latents move from one timestep to the next, given what the model predicts.
//
//   const std::unique_ptr<NoiseScheduler> scheduler = make_scheduler(SchedulerKind::ddim, NoiseSchedule(config, 50));
//   for (std::size_t i = 0; i < scheduler->schedule().timesteps().size(); ++i)
//     latents = scheduler->step(model(latents), i, latents, generator);
//
// prediction: fp32, any shape; sample: same shape, the model's dtype; the result is in the promoted dtype, as in the
// peer, and the caller casts it. Who computes steps another way is given their terms (step_terms.h): step_by().
// Sources: DDIM, arXiv 2010.02502, eq. 12; SDE-DPM-Solver++ (2M), arXiv 2211.01095; diffusers
// scheduling_ddim_cogvideox.py and scheduling_dpm_cogvideox.py.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "schedulers/noise/named_tensors.h"
#include "schedulers/noise/schedule.h"
#include "schedulers/noise/step_terms.h"

namespace bitreel {

class NoiseScheduler {
 public:
  explicit NoiseScheduler(NoiseSchedule schedule) : schedule_(std::move(schedule)) {}
  virtual ~NoiseScheduler() = default;
  NoiseScheduler(const NoiseScheduler&) = delete;
  NoiseScheduler& operator=(const NoiseScheduler&) = delete;

  [[nodiscard]] const NoiseSchedule& schedule() const { return schedule_; }
  // The sample after step `index`. Steps must be taken in order: a multistep solver remembers earlier predictions.
  at::Tensor step(const at::Tensor& prediction, std::size_t index, const at::Tensor& sample,
                  const at::Generator& generator);
  // The same by `move`, whose result it is. sample: of its shape, dtype and device noise is drawn.
  using Move = std::function<Moved(const StepTerms& terms)>;
  virtual at::Tensor step_by(const Move& move, std::size_t index, const at::Tensor& sample,
                             const at::Generator& generator) = 0;
  // What the next step needs beside the sample: nothing for one-step solvers, earlier predictions for others.
  [[nodiscard]] virtual NamedTensors state() const { return {}; }
  // The same in another run, before its first step. Error for tensors that this scheduler does not keep.
  void restore(const NamedTensors& state);

 protected:
  // What a prediction at this timestep implies; the rest is the solver's.
  [[nodiscard]] StepTerms terms_at(std::int64_t timestep) const;

 private:
  // Takes the tensors out of `state` that it knows.
  virtual void take(NamedTensors& /*state*/) {}

  NoiseSchedule schedule_;
};

// ddim: CogVideoXDDIMScheduler, deterministic; the generator is not used.
// dpm: CogVideoXDPMScheduler, stochastic; draws twice in every step that is neither first nor last, as the peer does.
// dpm-multistep: DPMSolverMultistepScheduler, which has a configuration and timesteps of its own (multistep_dpm.h).
enum class SchedulerKind { ddim, dpm, dpm_multistep };

// Of a video model's schedule: ddim or dpm, Error for others.
std::unique_ptr<NoiseScheduler> make_scheduler(SchedulerKind kind, NoiseSchedule schedule);

std::span<const SchedulerKind> all_schedulers();
std::string_view name_of(SchedulerKind kind);  // as on the command line

}  // namespace bitreel
