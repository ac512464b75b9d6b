#include "pipelines/layers/quantized_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>

#include "base/cpu_features.h"
#include "base/error.h"
#include "pipelines/layers/cuda/cuda_rows.h"
#include "pipelines/layers/panel_linear.h"
#include "pipelines/layers/rows/rows.h"

namespace bitreel {
namespace {

constexpr double e4m3_largest = 448;
constexpr double int8_largest = 127;
constexpr std::int64_t zero_of_bytes = 128;
// 255 x 63 x 2 still fits 16 bits, in which AVX2 sums pairs of products.
constexpr double int8_largest_in_pairs = 63;

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

// The passes before and after a product of oneDNN's.
namespace on_cpu {

bool has_kernels(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16;
}

bool takes(const at::Tensor& x) {
  return x.is_cpu() && has_kernels(x.scalar_type());
}

// work(T{}, first row, rows), T the kernels' name for the dtype.
template <class Work>
void over_rows(at::ScalarType dtype, std::int64_t rows, std::int64_t dim, const Work& work) {
  at::parallel_for(0, rows, std::max<std::int64_t>(1, values_per_task / dim),
                   [&](std::int64_t begin, std::int64_t end) {
                     if (dtype == at::kFloat) {
                       work(float{}, begin, end - begin);
                     } else {
                       work(Bf16{}, begin, end - begin);
                     }
                   });
}

QuantizedRows quantize_rows(const at::Tensor& x, double largest) {
  const std::int64_t dim = x.size(1);
  QuantizedRows to{at::empty(x.sizes(), at::kByte), at::empty({x.size(0), 1}, at::kFloat)};
  over_rows(x.scalar_type(), x.size(0), dim, [&]<class T>(T, std::int64_t first, std::int64_t rows) {
    row_kernels<T>().quantize(static_cast<const T*>(x.const_data_ptr()) + first * dim, dim, rows,
                              {.values = to.values.mutable_data_ptr<std::uint8_t>() + first * dim,
                               .scales = to.scales.mutable_data_ptr<float>() + first,
                               .largest = static_cast<float>(largest)});
  });
  return to;
}

// y = sums scales + bias. sums [rows, out] fp32, scales [rows, 1], bias [out] or undefined.
void scale(const at::Tensor& sums, const at::Tensor& scales, const at::Tensor& bias, const at::Tensor& y) {
  if (!has_kernels(y.scalar_type())) {
    y.copy_(bias.defined() ? sums * scales + bias : sums * scales);
    return;
  }
  const std::int64_t dim = sums.size(1);
  const at::Tensor added = bias.defined() ? bias.to(y.scalar_type()).contiguous() : bias;
  over_rows(y.scalar_type(), sums.size(0), dim, [&]<class T>(T, std::int64_t first, std::int64_t rows) {
    row_kernels<T>().scale(sums.const_data_ptr<float>() + first * dim, scales.const_data_ptr<float>() + first,
                           added.defined() ? static_cast<const T*>(added.const_data_ptr()) : nullptr, dim, rows,
                           static_cast<T*>(y.mutable_data_ptr()) + first * dim);
  });
}

}  // namespace on_cpu
}  // namespace

QuantizedRows stored_in_fp8(const at::Tensor& weight) {
  return quantize_rows(weight, {LinearPrecision::fp8, e4m3_largest});
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

QuantizedRows quantize_rows(const at::Tensor& x, const RowFormat& format, RowActivation activation) {
  if (cuda::rows_take(x)) return cuda::quantize_rows(x, format.precision, format.largest, activation);
  const at::Tensor from = activation == RowActivation::gelu_tanh ? at::gelu(x, "tanh") : x;
  if (format.offset && on_cpu::takes(from)) return on_cpu::quantize_rows(from.contiguous(), format.largest);
  const at::Tensor wide = from.to(at::kFloat);
  const at::Tensor magnitude = wide.abs().amax(-1, /*keepdim=*/true).clamp_min(least_magnitude);
  const at::Tensor scaled = wide * (format.largest / magnitude);
  if (format.precision == LinearPrecision::fp8) {
    return {scaled.to(at::kFloat8_e4m3fn), magnitude / format.largest};
  }
  const at::Tensor integers = scaled.round();
  return {format.offset ? (integers + zero_of_bytes).to(at::kByte) : integers.to(at::kChar),
          magnitude / format.largest};
}

QuantizedLinear::QuantizedLinear(const at::Tensor& weight, const LinearOptions& options)
    : options_(options),
      library_(linear_library(options, weight.device(), weight.scalar_type())),
      dtype_(weight.scalar_type()),
      in_(weight.size(1)),
      out_(weight.size(0)) {
  const QuantizedRows rows =
      quantize_rows(weight, {options.precision, weight_largest(options.precision, weight.device())});
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
  // cuBLASLt takes no fewer rows, and sums of whole vectors of eight.
  constexpr std::int64_t least_rows = 17, vector = 8;
  const bool fits = x.values.size(0) >= least_rows && in_ % vector == 0 && out_ % vector == 0;
  const at::Tensor sums = library_ == "cuBLASLt" && fits ? at::_int_mm(x.values, weight_.t()).to(at::kFloat)
                                                         : at::linear(x.values.to(at::kFloat), weight_.to(at::kFloat));
  return sums * x.scales * scales_;
}

at::Tensor QuantizedLinear::product_of_bytes(const QuantizedRows& x, const at::Tensor& bias,
                                             at::ScalarType dtype) const {
  constexpr std::int64_t sums_of_piece = 1 << 21;  // so that they are still near when they are scaled
  const std::int64_t rows = x.values.size(0), piece = std::max<std::int64_t>(1, sums_of_piece / out_);
  at::Tensor y = at::empty({rows, out_}, dtype);
  for (std::int64_t first = 0; first < rows; first += piece) {
    const std::int64_t end = std::min(first + piece, rows);
    const at::Tensor sums = onednn(
        "onednn::qlinear_pointwise",
        {x.values.slice(0, first, end), 1.0, zero_of_bytes, weight_, scales_, no_shift_, c10::IValue(), 1.0,
         std::int64_t{0}, static_cast<std::int64_t>(at::kFloat), "none", c10::List<std::optional<at::Scalar>>(), ""});
    on_cpu::scale(sums, x.scales.slice(0, first, end), bias, y.slice(0, first, end));
  }
  return y;
}

RowFormat QuantizedLinear::row_format() const {
  return {options_.precision, activation_largest(options_.precision), /*offset=*/library_ == "oneDNN"};
}

at::Tensor QuantizedLinear::operator()(const at::Tensor& x, const at::Tensor& bias, RowActivation activation) const {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out_;
  const QuantizedRows rows = quantize_rows(x.reshape({-1, in_}), row_format(), activation);
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
  if (library_ == "oneDNN") return product_of_bytes(rows, bias, dtype);
  at::Tensor y = product(rows);
  if (bias.defined()) y = y.add_(bias);
  return y.to(dtype);
}

}  // namespace bitreel
