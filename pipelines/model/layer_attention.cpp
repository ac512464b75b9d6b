#include "pipelines/model/layer_attention.h"

#include <ATen/ATen.h>

#include <utility>

#include "attention/attention.h"

namespace bitreel {

LayerAttention full_attention(const std::string& backend) {
  LayerAttention attention = [backend](std::int64_t, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return attend(q, k, v, {.backend = backend});
  };
  attention.repeats = "full";
  return attention;
}

LayerAttention each_on_its_own(std::vector<LayerAttention> clips, std::int64_t branches) {
  if (clips.size() == 1) return std::move(clips.front());
  std::string all;
  bool repeats = true;
  for (const LayerAttention& clip : clips) {
    repeats = repeats && clip.repeats;
    all += clip.repeats.value_or("") + "|";
  }
  LayerAttention together = [clips, branches](std::int64_t layer, const at::Tensor& q, const at::Tensor& k,
                                              const at::Tensor& v) {
    // Put together token by token, as the layer reads heads next. Of all clips they come normed: not every one's
    // attention may do that itself.
    std::vector<at::Tensor> attended;
    for (std::int64_t i = 0; i < std::ssize(clips); ++i) {
      const auto own = [&](const at::Tensor& x) { return x.narrow(0, i * branches, branches); };
      attended.push_back(clips[static_cast<std::size_t>(i)](layer, own(q), own(k), own(v)).transpose(1, 2));
    }
    return at::cat(attended).transpose(1, 2);
  };
  if (repeats) together.repeats = all;
  together.repeated = [clips = std::move(clips)] {
    for (const LayerAttention& clip : clips) clip.repeated();
  };
  return together;
}

}  // namespace bitreel
