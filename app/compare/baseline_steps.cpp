#include "app/compare/baseline_steps.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <vector>

#include "attention/attention.h"
#include "pipelines/checkpoint/safetensors.h"

namespace bitreel {

namespace fs = std::filesystem;

fs::path BaselineSteps::path_of(const DenoisingStep& step) const {
  return folder_ / fmt::format("{:04}-of-{}.safetensors", step.index, step.count);
}

void BaselineSteps::keep(const StepEvent& event) const {
  fs::create_directories(folder_);
  write_safetensors(path_of(event.step), event.latents, {});
}

std::optional<double> BaselineSteps::relative_l2(const StepEvent& event) const {
  const fs::path path = path_of(event.step);
  if (!fs::exists(path)) return std::nullopt;
  const SafetensorsFile kept = SafetensorsFile::open(path);
  std::vector<at::Tensor> expected, got;
  for (const auto& [name, latents] : event.latents) {
    if (!kept.tensors().contains(name) || kept.tensor(name).sizes() != latents.sizes()) return std::nullopt;
    expected.push_back(kept.tensor(name).to(at::kFloat).flatten());
    got.push_back(latents.cpu().to(at::kFloat).flatten());
  }
  return similarity(at::cat(expected), at::cat(got)).relative_l2;
}

}  // namespace bitreel
