#include "pipelines/model/denoising.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"

namespace bitreel {

void check_state(const DenoisingState& state, const LatentShapes& shapes, std::int64_t count) {
  const std::string hint = "go on with the model that began";
  for (const auto& [name, shape] : shapes) {
    const auto found = state.latents.find(name);
    if (found == state.latents.end()) throw Error(fmt::format("the state holds no {}", name), hint);
    if (found->second.sizes() != at::IntArrayRef(shape)) {
      throw Error(fmt::format("the state holds {} of [{}], this request denoises [{}]", name,
                              fmt::join(found->second.sizes(), ", "), fmt::join(shape, ", ")),
                  hint);
    }
  }
  if (state.steps_done < 1 || state.steps_done >= count) {
    throw Error(fmt::format("the state is that after step {}, this request has {} steps", state.steps_done, count));
  }
}

void check_finite(const NamedTensors& latents, const DenoisingStep& step) {
  for (const auto& [name, tensor] : latents) {
    if (at::isfinite(tensor).all().item<bool>()) continue;
    throw Error(fmt::format("step {} of {}: the {} are no longer finite", step.index + 1, step.count, name),
                tensor.scalar_type() == at::kHalf
                    ? "fp16 overflows on models trained in bf16; try `dtype` bf16"
                    : "the weights may be damaged; compare their checksums with the hub's");
  }
}

}  // namespace bitreel
