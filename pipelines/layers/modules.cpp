#include "pipelines/layers/modules.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "base/cpu_features.h"
#include "pipelines/layers/cuda/cuda_product.h"
#include "pipelines/layers/cuda/cuda_rows.h"
#include "pipelines/layers/panel_linear.h"
#include "pipelines/layers/quantized_linear.h"

namespace bitreel {

Linear::Linear(const Scope& scope, std::int64_t in, std::int64_t out, Bias with, std::optional<at::ScalarType> dtype)
    : weight(scope.tensor("weight", {out, in}, dtype)) {
  if (with == Bias::present) bias = scope.tensor("bias", {out}, dtype);
}

namespace {

using Reorder = at::Tensor(const at::Tensor& weight, std::optional<std::int64_t> batch);
using LinearPointwise = at::Tensor(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                                   std::string_view attribute, c10::List<std::optional<at::Scalar>> scalars,
                                   std::optional<std::string_view> algorithm);

// LibTorch's operators on prepacked weights have no C++ declaration; they are found by name, as its compiler does.
template <class Signature>
auto onednn_operator(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

}  // namespace

void Linear::pack(const LinearOptions& options) {
  if (options.precision != LinearPrecision::full) {
    quantized_ = std::make_shared<QuantizedLinear>(weight, options);
    weight.reset();
    return;
  }
  path_ = options.path;
  if (options.weights == WeightStorage::fp8) {
    const QuantizedRows stored = stored_in_fp8(weight);
    weight = stored.values;
    scales_ = stored.scales;
    return;
  }
  if (PanelLinear::takes(weight)) {
    panels_ = std::make_shared<PanelLinear>(weight);
    weight.reset();
    return;
  }
  const bool has_operator = at::hasMKLDNN() && x86_features().avx512;  // LibTorch refuses it on other processors
  if (!weight.is_cpu() || weight.scalar_type() != at::kBFloat16 || !has_operator) return;
  static const auto reorder = onednn_operator<Reorder>("mkldnn::_reorder_linear_weight");
  packed_ = reorder.call(weight.contiguous(), std::nullopt);
  weight.reset();
}

void Linear::list_tensors(TensorList& list) {
  for (at::Tensor* tensor : {&weight, &bias, &packed_, &scales_}) {
    if (tensor->defined()) list.push_back(tensor);
  }
  if (quantized_) quantized_->list_tensors(list);
  if (panels_) panels_->list_tensors(list);
}

// The scales are fp32: one rounding.
at::Tensor Linear::multiplied(at::ScalarType dtype) const {
  return scales_.defined() ? weight.to(dtype).mul_(scales_) : weight;
}

bool Linear::calls_cublaslt(const at::Tensor& x, const at::Tensor& factor) const {
  return path_ == LinearPath::library && cuda::takes_product(x, factor, bias);
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (quantized_) return (*quantized_)(x, bias);
  if (panels_) return (*panels_)(x, bias);
  if (packed_.defined()) {
    static const auto product = onednn_operator<LinearPointwise>("mkldnn::_linear_pointwise");
    const std::optional<at::Tensor> maybe_bias = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
    return product.call(x, packed_, maybe_bias, "none", c10::List<std::optional<at::Scalar>>(), "");
  }
  const at::Tensor factor = multiplied(x.scalar_type());
  if (calls_cublaslt(x, factor)) return cuda::product(x, factor, bias, cuda::AfterProduct::nothing);
  return at::linear(x, factor, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt);
}

bool Linear::takes_gelu_after(const at::Tensor& x, Gelu form) const {
  if (panels_) return true;
  return form == Gelu::tanh && weight.defined() && bias.defined() && x.is_cuda() && x.is_contiguous();
}

// LibTorch's name for it; its GELU is the tanh form on a GPU alone.
at::Tensor Linear::gelu_after(const at::Tensor& x, Gelu form) const {
  if (panels_) return (*panels_)(x, bias, form);
  const at::Tensor factor = multiplied(x.scalar_type());
  if (calls_cublaslt(x, factor)) return cuda::product(x, factor, bias, cuda::AfterProduct::gelu_tanh);
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const at::Tensor rows = x.view({-1, weight.size(1)});
  return at::_addmm_activation(bias, rows, factor.t(), 1, 1, /*use_gelu=*/true).view(shape);
}

bool Linear::takes_gelu_before(const at::Tensor& x) const {
  return quantized_ && cuda::rows_take(x);
}

at::Tensor Linear::gelu_before(const at::Tensor& x) const {
  return (*quantized_)(x, bias, RowActivation::gelu_tanh);
}

std::optional<RowFormat> Linear::row_format() const {
  return quantized_ ? std::optional<RowFormat>(quantized_->row_format()) : std::nullopt;
}

at::Tensor Linear::operator()(const QuantizedRows& rows) const {
  return (*quantized_)(rows, bias);
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

at::Tensor GroupNorm::operator()(const at::Tensor& x) const {
  return at::group_norm(x, groups, weight, bias, eps);
}

}  // namespace bitreel
