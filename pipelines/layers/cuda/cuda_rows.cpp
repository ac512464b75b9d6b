#include "pipelines/layers/cuda/cuda_rows.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include "attention/cuda/load_plugin.h"
#include "base/error.h"

namespace bitreel::cuda {
namespace {

constexpr std::int64_t vector = 8;

// Null when the plugin has other kernels than this program knows.
const RowsPlugin* rows_of_plugin() {
  static const auto* const rows = plugin_table<RowsPlugin>(rows_entry, rows_version);
  return rows;
}

}  // namespace

bool has_plugin(at::Device device) {
  return device.is_cuda() && missing_plugin().empty() && rows_of_plugin() != nullptr;
}

bool has_rows(at::Device device, at::ScalarType dtype) {
  return (dtype == at::kBFloat16 || dtype == at::kHalf) && has_plugin(device);
}

bool rows_take(const at::Tensor& x) {
  return has_rows(x.device(), x.scalar_type()) && x.size(-1) % vector == 0 && x.size(-1) <= widest_sum && x.numel() > 0;
}

int compute_capability() {
  return missing_plugin().empty() ? loaded_plugin().compute_capability() : 0;
}

const RowsPlugin& loaded_rows() {
  if (const std::string missing = missing_plugin(); !missing.empty()) throw Error(missing);
  if (rows_of_plugin() == nullptr) throw Error("libbitreel_cuda.so was built from other sources than this program");
  return *rows_of_plugin();
}

RowElement row_element(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? RowElement::bf16 : RowElement::fp16;
}

void* current_stream(const at::Tensor& x) {
  return c10::impl::VirtualGuardImpl(at::kCUDA).getStream(x.device()).native_handle();
}

void check_rows(int error, const char* kernel) {
  if (error != 0) throw Error(fmt::format("CUDA, {}: {}", kernel, loaded_plugin().error_text(error)));
}

QuantizedRows room_in_eight_bits(const at::Tensor& x, LinearPrecision precision) {
  const at::ScalarType type = precision == LinearPrecision::fp8 ? at::kFloat8_e4m3fn : at::kChar;
  return {at::empty(x.sizes(), x.options().dtype(type)), at::empty({x.size(0), 1}, x.options().dtype(at::kFloat))};
}

EightBits eight_bits(const QuantizedRows& room, double largest) {
  return {.to_e4m3 = room.values.scalar_type() == at::kFloat8_e4m3fn ? 1 : 0,
          .largest = static_cast<float>(largest),
          .values = room.values.mutable_data_ptr(),
          .scales = room.scales.mutable_data_ptr<float>()};
}

QuantizedRows quantize_rows(const at::Tensor& x, LinearPrecision precision, double largest, RowActivation activation) {
  const at::Tensor from = x.contiguous();
  QuantizedRows rows = room_in_eight_bits(x, precision);
  const QuantizeCall call{
      .element = row_element(x),
      .before = activation == RowActivation::gelu_tanh ? BeforeQuantizing::gelu_tanh : BeforeQuantizing::nothing,
      .rows = x.size(0),
      .dim = static_cast<std::int32_t>(x.size(1)),
      .x = from.const_data_ptr(),
      .to = eight_bits(rows, largest)};
  check_rows(loaded_rows().quantize(call, current_stream(x)), "quantization of rows");
  return rows;
}

}  // namespace bitreel::cuda
