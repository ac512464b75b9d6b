#include "pipelines/model/calibrating_attention.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "attention/attention.h"
#include "base/wall_clock.h"
#include "pipelines/model/wait_for.h"

namespace bitreel {
namespace {

bool holds(const std::vector<std::int64_t>& sampled, std::int64_t number) {
  return std::ranges::binary_search(sampled, number);
}

}  // namespace

CalibratingAttention::CalibratingAttention(const MeasurementDesign& design, MeasuredPrompt prompt,
                                           CalibratingOptions options)
    : design_(design), options_(std::move(options)), errors_(design, std::move(prompt)) {}

AttendOptions CalibratingAttention::options_for(Precision precision) const {
  return {.precision = precision, .backend = options_.backends.of(precision), .report = options_.report};
}

LayerAttention CalibratingAttention::operator()(const DenoisingStep& step) {
  return [this, step](std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    at::Tensor exact = attend(q, k, v, options_for(Precision::full));
    if (holds(design_.steps, step.index) && holds(design_.layers, layer)) measure(step.index, layer, q, k, v, exact);
    if (step.index == step.count / 2 && layer == design_.layers.front()) time(q, k, v);
    return exact;
  };
}

void CalibratingAttention::measure(std::int64_t step, std::int64_t layer, const at::Tensor& q, const at::Tensor& k,
                                   const at::Tensor& v, const at::Tensor& exact) {
  const at::Tensor heads = at::tensor(design_.heads, at::TensorOptions(at::kLong)).to(q.device());
  const auto sampled = [&](const at::Tensor& x) {
    return static_cast<std::int64_t>(design_.heads.size()) == x.size(1) ? x : x.index_select(1, heads);
  };
  for (const Precision precision : design_.precisions) {
    const at::Tensor out = attend(sampled(q), sampled(k), sampled(v), options_for(precision));
    const Similarity close = similarity(sampled(exact), out);
    errors_.set({.layer = layer, .step = step, .precision = precision},
                {.cosine = close.cosine, .relative_l1 = close.relative_l1, .rmse = close.rmse});
  }
}

void CalibratingAttention::time(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  std::vector<Precision> contenders = {Precision::full};
  contenders.insert(contenders.end(), design_.precisions.begin(), design_.precisions.end());
  for (std::int64_t round = 0; round < options_.timings; ++round) {
    for (const Precision precision : contenders) {
      wait_for(q.device());
      const WallClock::time_point begun = WallClock::now();
      attend(q, k, v, options_for(precision));
      wait_for(q.device());
      timings_.emplace_back(precision, seconds_since(begun));
    }
  }
}

}  // namespace bitreel
