#include "attention/attention.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <sstream>

#include "attention/error.h"
#include "attention/reference.h"
#include "attention/sdpa.h"

namespace bitreel {
namespace {

std::string shape_of(const at::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.sizes() << " " << tensor.scalar_type();
  return out.str();
}

void check_shapes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const bool fits = q.dim() == 4 && k.dim() == 4 && v.dim() == 4 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                    q.size(1) == k.size(1) && q.size(3) == k.size(3) && q.scalar_type() == k.scalar_type() &&
                    q.scalar_type() == v.scalar_type();
  if (!fits) {
    throw Error(fmt::format("attend: q {}, k {}, v {}; expected q [B, H, Nq, D] and k, v [B, H, Nkv, D] of one dtype",
                            shape_of(q), shape_of(k), shape_of(v)));
  }
}

}  // namespace

std::string_view name_of(AttentionBackend backend) {
  return backend == AttentionBackend::sdpa ? "sdpa" : "reference";
}

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttendOptions& options) {
  check_shapes(q, k, v);
  const double scale = options.scale.value_or(1.0 / std::sqrt(static_cast<double>(q.size(3))));
  switch (options.backend) {
    case AttentionBackend::sdpa:
      return attend_sdpa(q, k, v, scale, options.bias);
    case AttentionBackend::reference:
      return attend_reference(q, k, v, scale, options.bias);
  }
  throw Error("attend: unknown backend");
}

}  // namespace bitreel
