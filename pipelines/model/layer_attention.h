// How the layers of a transformer attend: the seam where precision plans, guards and calibration come in.
//
//   transformer(latents, conditioning, {.timestep = 999, .attention = full_attention("reference")});
//   const StepAttention of_step = [&](const DenoisingStep& step) { return planned(step); };
//   model.denoise(request, embeddings, {.attention_of_step = of_step});
//
// q, k, v [B, H, N, D] in the model's dtype, guidance's branches side by side in B; the result has q's shape.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bitreel {

struct HeadNorms;  // attention/attention.h

// Made of any function of (layer, q, k, v).
struct LayerAttention {
  using Call =
      std::function<at::Tensor(std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v)>;

  template <class Function>
  requires(!std::is_same_v<Function, LayerAttention>) && std::is_constructible_v<Call, Function> LayerAttention(
                                                             Function function)
      : call(std::move(function)) {}

  at::Tensor operator()(std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) const {
    return call(layer, q, k, v);
  }

  Call call;
  // The same of q and k whose norms are still to be done, where what attends does them on its way; nothing where it
  // does not. Null where nobody asks it.
  std::function<std::optional<at::Tensor>(std::int64_t layer, const at::Tensor& q, const at::Tensor& k,
                                          const at::Tensor& v, const HeadNorms& norms)>
      before_norms = {};
  // Steps of one clip with equal texts here launch the same kernels in the same order and look at no result, so that
  // one's can be played again for another (step_graphs.h), which `repeated` is then told. None: nobody knows.
  std::optional<std::string> repeats = {};
  std::function<void()> repeated = [] {};
};

struct DenoisingStep {
  std::int64_t index = 0;     // 0 .. count - 1
  std::int64_t count = 0;     // may differ from Request::steps (schedule.h)
  std::int64_t timestep = 0;  // training timestep, 0 .. 999
};

// Asked once before each step.
using StepAttention = std::function<LayerAttention(const DenoisingStep& step)>;

// Full precision everywhere, on the backend of that name; the best there is when empty.
LayerAttention full_attention(const std::string& backend = {});

// Of several clips in one batch, `branches` entries of it each, in order: every clip attends as it would alone.
LayerAttention each_on_its_own(std::vector<LayerAttention> clips, std::int64_t branches);

}  // namespace bitreel
