#include "pipelines/layers/quantized_linear.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "base/cpu_features.h"
#include "base/error.h"
#include "pipelines/layers/cuda/cuda_rows.h"
#include "pipelines/layers/panel_linear.h"

namespace bitreel {
namespace {

constexpr double e4m3_largest = 448;
constexpr double int8_largest = 127;
// 255 x 63 x 2 still fits 16 bits, in which AVX2 sums pairs of products.
constexpr double int8_largest_in_pairs = 63;
constexpr double least_magnitude = 1e-12;  // of a row, so that rows of zeros have a scale

double activation_largest(LinearPrecision precision) {
  return precision == LinearPrecision::fp8 ? e4m3_largest : int8_largest;
}

double weight_largest(LinearPrecision precision, at::Device device) {
  if (precision == LinearPrecision::fp8) return e4m3_largest;
  const bool whole_sums = device.is_cuda() || x86_features().avx512_vnni || x86_features().avx_vnni;
  return whole_sums ? int8_largest : int8_largest_in_pairs;
}

// oneDNN's operators on quantized tensors have no C++ declaration.
at::Tensor onednn(const char* name, std::vector<c10::IValue> arguments) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(&arguments);
  return arguments.front().toTensor();
}

bool has_onednn() {
  static const bool has =
      at::hasMKLDNN() && c10::Dispatcher::singleton().findSchema({"onednn::qlinear_pointwise", ""}).has_value();
  return has;
}

}  // namespace

QuantizedRows stored_in_fp8(const at::Tensor& weight) {
  return quantize_rows(weight, LinearPrecision::fp8, e4m3_largest);
}

std::string_view name_of(LinearPrecision precision) {
  switch (precision) {
    case LinearPrecision::full:
      return "full";
    case LinearPrecision::int8:
      return "int8";
    case LinearPrecision::fp8:
      return "fp8";
  }
  throw Error("unknown precision of linear layers");
}

std::string_view name_of(LinearPath path) {
  return path == LinearPath::library ? "library" : "plain";
}

std::string_view name_of(WeightStorage storage) {
  return storage == WeightStorage::full ? "full" : "fp8";
}

std::string_view linear_library(const LinearOptions& linear, at::Device device, at::ScalarType dtype) {
  if (multiplies_in_panels(linear, device, dtype)) return "bitreel";
  if (linear.precision == LinearPrecision::full) return "LibTorch";
  if (linear.path == LinearPath::library) {
    if (device.is_cpu() && linear.precision == LinearPrecision::int8 && has_onednn()) return "oneDNN";
    // cuBLASLt scales rows and columns of e4m3 into bf16 only, from Hopper on.
    if (device.is_cuda() && linear.precision == LinearPrecision::int8) return "cuBLASLt";
    if (device.is_cuda() && dtype == at::kBFloat16 && cuda::compute_capability() >= 90) return "cuBLASLt";
  }
  return "plain";
}

QuantizedRows quantize_rows(const at::Tensor& x, LinearPrecision precision, double largest, RowActivation activation) {
  if (cuda::rows_take(x)) return cuda::quantize_rows(x, precision, largest, activation);
  const at::Tensor wide = (activation == RowActivation::gelu_tanh ? at::gelu(x, "tanh") : x).to(at::kFloat);
  const at::Tensor magnitude = wide.abs().amax(-1, /*keepdim=*/true).clamp_min(least_magnitude);
  const at::Tensor scaled = wide * (largest / magnitude);
  if (precision == LinearPrecision::fp8) return {scaled.to(at::kFloat8_e4m3fn), magnitude / largest};
  return {scaled.round().to(at::kChar), magnitude / largest};
}

QuantizedLinear::QuantizedLinear(const at::Tensor& weight, const LinearOptions& options)
    : options_(options),
      library_(linear_library(options, weight.device(), weight.scalar_type())),
      dtype_(weight.scalar_type()),
      in_(weight.size(1)),
      out_(weight.size(0)) {
  const QuantizedRows rows =
      quantize_rows(weight, options.precision, weight_largest(options.precision, weight.device()));
  weight_ = rows.values;
  scales_ = rows.scales.squeeze(1).contiguous();
  if (library_ != "oneDNN") return;
  weight_ = onednn("onednn::qlinear_prepack", {weight_, c10::IValue()});
  no_shift_ = at::zeros({out_}, at::TensorOptions(at::kLong));
}

void QuantizedLinear::list_tensors(TensorList& list) {
  list.insert(list.end(), {&weight_, &scales_});
}

at::Tensor QuantizedLinear::product(const QuantizedRows& x) const {
  if (library_ == "oneDNN") {
    return onednn("onednn::qlinear_pointwise",
                  {x.values, 1.0, std::int64_t{0}, weight_, scales_, no_shift_, c10::IValue(), 1.0, std::int64_t{0},
                   static_cast<std::int64_t>(at::kFloat), "none", c10::List<std::optional<at::Scalar>>(), ""})
        .mul_(x.scales);
  }
  // cuBLASLt takes no fewer rows, and sums of whole vectors of eight.
  constexpr std::int64_t least_rows = 17, vector = 8;
  const bool fits = x.values.size(0) >= least_rows && in_ % vector == 0 && out_ % vector == 0;
  const at::Tensor sums = library_ == "cuBLASLt" && fits ? at::_int_mm(x.values, weight_.t()).to(at::kFloat)
                                                         : at::linear(x.values.to(at::kFloat), weight_.to(at::kFloat));
  return sums * x.scales * scales_;
}

RowFormat QuantizedLinear::row_format() const {
  return {options_.precision, activation_largest(options_.precision)};
}

at::Tensor QuantizedLinear::operator()(const at::Tensor& x, const at::Tensor& bias, RowActivation activation) const {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out_;
  const RowFormat format = row_format();
  const QuantizedRows rows = quantize_rows(x.reshape({-1, in_}), format.precision, format.largest, activation);
  return multiply(rows, bias, x.scalar_type()).view(shape);
}

at::Tensor QuantizedLinear::operator()(const QuantizedRows& rows, const at::Tensor& bias) const {
  return multiply(rows, bias, dtype_);
}

at::Tensor QuantizedLinear::multiply(const QuantizedRows& rows, const at::Tensor& bias, at::ScalarType dtype) const {
  constexpr std::int64_t vector = 16;
  const bool scaled_by_library =
      options_.precision == LinearPrecision::fp8 && library_ == "cuBLASLt" && in_ % vector == 0 && out_ % vector == 0;
  if (scaled_by_library) {
    const auto maybe_bias = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
    return at::_scaled_mm(rows.values, weight_.t(), rows.scales, scales_.unsqueeze(0), maybe_bias,
                          /*scale_result=*/std::nullopt, dtype, /*use_fast_accum=*/true);
  }
  at::Tensor y = product(rows);
  if (bias.defined()) y = y.add_(bias);
  return y.to(dtype);
}

}  // namespace bitreel
