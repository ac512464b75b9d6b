#include "pipelines/layers/cuda/cuda_product.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "attention/cuda/load_plugin.h"
#include "base/error.h"
#include "pipelines/layers/cuda/cuda_rows.h"

namespace bitreel::cuda {
namespace {

// Of an H200, with the 35,552 rows that a clip of 49 frames has: tiles of 128x224 took 0.95 to 0.99 of the time of
// cuBLASLt's first choice for 3072 to 12,288 outputs, and for 1920 up to 1.04. Of fewer rows there are fewer tiles,
// which multiprocessors share out less evenly.
constexpr int measured_capability = 90;
constexpr std::int64_t least_rows = 32'768, least_outputs = 3'072;

const ProductPlugin* products_of_plugin() {
  static const auto* const products = plugin_table<ProductPlugin>(product_entry, product_version);
  return products;
}

bool lies_packed(const at::Tensor& tensor, at::ScalarType dtype) {
  return tensor.is_contiguous() && tensor.scalar_type() == dtype &&
         reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % product_alignment == 0;
}

}  // namespace

bool has_products(at::Device device) {
  return has_plugin(device) && products_of_plugin() != nullptr;
}

bool takes_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::int64_t in = weight.size(1), out = weight.size(0);
  if (!bias.defined() || x.numel() < least_rows * in || out < least_outputs) return false;
  if (!has_products(x.device()) || compute_capability() != measured_capability) return false;
  constexpr std::int64_t vector = 8;
  const at::ScalarType dtype = x.scalar_type();
  return (dtype == at::kBFloat16 || dtype == at::kHalf) && in % vector == 0 && out % vector == 0 &&
         lies_packed(x, dtype) && lies_packed(weight, dtype) && lies_packed(bias, dtype);
}

at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, AfterProduct after) {
  const std::int64_t in = weight.size(1), out = weight.size(0);
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out;
  at::Tensor y = at::empty(shape, x.options());
  const at::Tensor workspace = at::empty({product_workspace}, x.options().dtype(at::kByte));
  const ProductCall call{.shape = {.device = x.get_device(),
                                   .element = row_element(x),
                                   .after = after,
                                   .rows = x.numel() / in,
                                   .in = in,
                                   .out = out},
                         .x = x.const_data_ptr(),
                         .weight = weight.const_data_ptr(),
                         .bias = bias.const_data_ptr(),
                         .y = y.mutable_data_ptr(),
                         .workspace = workspace.mutable_data_ptr()};
  const int status = products_of_plugin()->multiply(call, current_stream(x));
  if (status != 0) {
    throw Error(fmt::format("cuBLASLt, product of {} rows, {} to {} features: {}", call.shape.rows, in, out,
                            products_of_plugin()->status_text(status)));
  }
  return y;
}

}  // namespace bitreel::cuda
