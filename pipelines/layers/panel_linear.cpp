#include "pipelines/layers/panel_linear.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "attention/cpu/share_out.h"
#include "base/error.h"

namespace bitreel {
namespace {

at::Tensor in_panels(const at::Tensor& weight) {
  const std::int64_t out = weight.size(0), in = weight.size(1);
  const std::int64_t panels = (out + panel_outputs - 1) / panel_outputs;
  const at::Tensor filled = at::constant_pad_nd(weight, {0, 0, 0, panels * panel_outputs - out});
  return filled.view({panels, panel_outputs, in}).transpose(1, 2).contiguous();
}

// Rows of a piece of work: as many pieces for each thread, and none so small that taking it costs what it takes.
std::int64_t rows_of_piece(std::int64_t rows) {
  constexpr std::int64_t least = 12;
  const std::int64_t threads = at::get_num_threads();
  const std::int64_t rounds =
      std::max<std::int64_t>(1, (rows + threads * most_product_rows - 1) / (threads * most_product_rows));
  const std::int64_t even = (rows + rounds * threads - 1) / (rounds * threads);
  return std::clamp((even + 3) / 4 * 4, least, most_product_rows);
}

template <class T>
void multiply(const at::Tensor& x, const ProductWeight<T>& weight, Gelu gelu, const at::Tensor& y) {
  const ProductKernels<T>& kernels = *product_kernels<T>();
  const auto* const from = static_cast<const T*>(x.const_data_ptr());
  auto* const to = static_cast<T*>(y.mutable_data_ptr());
  const std::int64_t rows = x.numel() / weight.in, piece = rows_of_piece(rows);
  cpu::share_out(0, (rows + piece - 1) / piece, /*grain=*/1, [&](const auto& next) {
    while (const std::optional<std::int64_t> nth = next()) {
      const std::int64_t first = *nth * piece;
      kernels.multiply(from + first * weight.in, std::min(piece, rows - first), weight, gelu, to + first * weight.out);
    }
  });
}

}  // namespace

bool PanelLinear::runs_on(at::Device device, at::ScalarType dtype) {
  if (!device.is_cpu()) return false;
  return (dtype == at::kFloat && product_kernels<float>() != nullptr) ||
         (dtype == at::kBFloat16 && product_kernels<Bf16>() != nullptr);
}

PanelLinear::PanelLinear(const at::Tensor& weight)
    : panels_(in_panels(weight)), in_(weight.size(1)), out_(weight.size(0)) {}

at::Tensor PanelLinear::operator()(const at::Tensor& x, const at::Tensor& bias, Gelu gelu) const {
  if (x.scalar_type() != panels_.scalar_type() || x.size(-1) != in_) {
    throw Error(fmt::format("a linear layer for {} inputs in {} got {} in {}", in_,
                            c10::toString(panels_.scalar_type()), x.size(-1), c10::toString(x.scalar_type())));
  }
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out_;
  const at::Tensor rows = x.contiguous();
  at::Tensor y = at::empty(shape, x.options());
  const at::Tensor added = bias.defined() ? bias.to(x.scalar_type()).contiguous() : bias;
  const auto run = [&]<class T>(T) {
    const ProductWeight<T> weight{.panels = static_cast<const T*>(panels_.const_data_ptr()),
                                  .bias = added.defined() ? static_cast<const T*>(added.const_data_ptr()) : nullptr,
                                  .in = in_,
                                  .out = out_};
    multiply(rows, weight, gelu, y);
  };
  if (x.scalar_type() == at::kFloat) {
    run(float{});
  } else {
    run(Bf16{});
  }
  return y;
}

bool multiplies_in_panels(const LinearOptions& linear, at::Device device, at::ScalarType dtype) {
  return linear.precision == LinearPrecision::full && linear.weights == WeightStorage::full &&
         PanelLinear::runs_on(device, dtype);
}

}  // namespace bitreel
