#include "attention/similarity.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "base/error.h"

namespace bitreel {
namespace {

std::string shape_of(const at::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.sizes();
  return out.str();
}

double ratio(double error, double size) {
  if (size == 0 && error == 0) return 0;
  return error / size;
}

double cosine_of(double product, double expected_norm, double actual_norm) {
  if (expected_norm == 0 && actual_norm == 0) return 1;
  if (expected_norm == 0 || actual_norm == 0) return 0;
  return product / expected_norm / actual_norm;
}

double worst_row(const at::Tensor& expected, const at::Tensor& error) {
  const at::Tensor sizes = expected.norm(2, -1), errors = error.norm(2, -1);
  return (errors / sizes).masked_fill(errors == 0, 0).max().item<double>();
}

}  // namespace

Similarity similarity(const at::Tensor& expected, const at::Tensor& actual) {
  if (expected.sizes() != actual.sizes() || expected.numel() == 0) {
    throw Error(fmt::format("similarity: {} and {}, expected two tensors of one shape, not empty", shape_of(expected),
                            shape_of(actual)));
  }
  const at::Tensor o = expected.to(at::kDouble), other = actual.to(at::kDouble), error = other - o;
  if (!error.isfinite().all().item<bool>()) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    return {nan, nan, nan, nan, nan};
  }
  const auto number = [](const at::Tensor& x) { return x.item<double>(); };
  const double norm = number(o.norm()), error_norm = number(error.norm());
  return {.cosine = cosine_of(number((o * other).sum()), norm, number(other.norm())),
          .relative_l1 = ratio(number(error.abs().sum()), number(o.abs().sum())),
          .relative_l2 = ratio(error_norm, norm),
          .rmse = error_norm / std::sqrt(static_cast<double>(error.numel())),
          .worst_row = worst_row(o, error)};
}

}  // namespace bitreel
