// The baseline's latents after every step, on the disk, and how far another variant's are from them.
//
//   const BaselineSteps steps("out/compare/work/steps-000");
//   model->denoise(request, text, {.on_step = [&](const StepEvent& event) { steps.keep(event); }});
//   model->denoise(request, text, {.on_step = [&](const StepEvent& event) { error = steps.relative_l2(event); }});
//
// On the disk, because a comparison holds one clip's denoising in memory, whatever it compares.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "pipelines/model/denoising.h"

namespace bitreel {

class BaselineSteps {
 public:
  explicit BaselineSteps(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void keep(const StepEvent& event) const;
  // Nothing where the baseline has no such step, or latents of another size.
  [[nodiscard]] std::optional<double> relative_l2(const StepEvent& event) const;

 private:
  // Steps of a denoising with another number of them are others.
  [[nodiscard]] std::filesystem::path path_of(const DenoisingStep& step) const;

  std::filesystem::path folder_;
};

}  // namespace bitreel
