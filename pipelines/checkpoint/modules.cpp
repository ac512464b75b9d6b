#include "pipelines/checkpoint/modules.h"

#include <ATen/ATen.h>

namespace bitreel {

Linear::Linear(const Scope& scope, std::int64_t in, std::int64_t out, Bias with, std::optional<at::ScalarType> dtype)
    : weight(scope.tensor("weight", {out, in}, dtype)) {
  if (with == Bias::present) bias = scope.tensor("bias", {out}, dtype);
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return at::linear(x, weight, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt);
}

LayerNorm::LayerNorm(const Scope& scope, std::int64_t features, double epsilon)
    : weight(scope.tensor("weight", {features})), bias(scope.tensor("bias", {features})), eps(epsilon) {}

at::Tensor LayerNorm::operator()(const at::Tensor& x) const {
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

GroupNorm::GroupNorm(const Scope& scope, std::int64_t channels, std::int64_t group_count, double epsilon)
    : weight(scope.tensor("weight", {channels})),
      bias(scope.tensor("bias", {channels})),
      groups(group_count),
      eps(epsilon) {}

at::Tensor GroupNorm::operator()(const at::Tensor& x) const { return at::group_norm(x, groups, weight, bias, eps); }

}  // namespace bitreel
