#include "attention/attention.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/error.h"

namespace bitreel {
namespace {

std::string shape_of(const at::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.sizes() << " " << tensor.scalar_type();
  return out.str();
}

// Once tokens_first inputs are viewed as [B, H, N, D].
void check_shapes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const bool four = q.dim() == 4 && k.dim() == 4 && v.dim() == 4;
  const bool fits = four && k.sizes() == v.sizes() && q.size(0) == k.size(0) && q.size(3) == k.size(3) &&
                    k.size(1) > 0 && q.size(1) % k.size(1) == 0 && q.scalar_type() == k.scalar_type() &&
                    q.scalar_type() == v.scalar_type() && q.device() == k.device() && q.device() == v.device() &&
                    at::isFloatingType(q.scalar_type());
  if (!fits) {
    throw Error(
        fmt::format("attend: q {}, k {}, v {}; expected q [B, Hq, Nq, D] and k, v [B, Hkv, Nkv, D] of one "
                    "floating dtype and device, Hq a multiple of Hkv",
                    shape_of(q), shape_of(k), shape_of(v)));
  }
  for (const at::Tensor* x : {&q, &k, &v}) {
    if (x->size(3) > 1 && x->stride(3) != 1) {
      throw Error(fmt::format("attend: a last stride of {}, expected 1", x->stride(3)), "call contiguous() on it");
    }
  }
}

void check_mask(const AttendCall& call) {
  const at::Tensor& mask = call.key_mask;
  if (!mask.defined()) return;
  if (mask.dim() != 2 || mask.size(0) != call.k.size(0) || mask.size(1) != call.k.size(2) ||
      mask.scalar_type() != at::kBool || mask.device() != call.k.device()) {
    throw Error(fmt::format("attend: key_mask {}, expected [{}, {}] bool on the keys' device", shape_of(mask),
                            call.k.size(0), call.k.size(2)));
  }
}

void check_bias(const AttendCall& call) {
  const at::Tensor& bias = call.bias;
  if (!bias.defined()) return;
  const std::int64_t expected[] = {call.q.size(0), call.q.size(1), call.q.size(2), call.k.size(2)};
  bool fits = bias.dim() <= 4 && at::isFloatingType(bias.scalar_type()) && bias.device() == call.q.device();
  for (std::int64_t d = 1; fits && d <= bias.dim(); ++d) fits = bias.size(-d) == 1 || bias.size(-d) == expected[4 - d];
  if (!fits) {
    throw Error(fmt::format("attend: bias {}, expected floating numbers on the queries' device that broadcast to [{}]",
                            shape_of(bias), fmt::join(expected, ", ")));
  }
}

std::optional<Recipe> recipe_for(const AttendOptions& options, c10::DeviceType device) {
  if (options.recipe) {
    check(*options.recipe);
    return options.recipe;
  }
  if (options.precision == Precision::full) return std::nullopt;
  return recipe_of(options.precision, device);
}

// Tokens outermost in memory: [B, N, H, D] is what an output projection reads.
at::Tensor empty_output(const at::Tensor& q) {
  return at::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.options()).transpose(1, 2);
}

at::Tensor heads_first(const at::Tensor& x, Layout layout) {
  return layout == Layout::tokens_first && x.dim() == 4 ? x.transpose(1, 2) : x;
}

// Checked, with memory for its results.
AttendCall call_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttendOptions& options) {
  AttendCall call{
      .q = heads_first(q, options.layout), .k = heads_first(k, options.layout), .v = heads_first(v, options.layout)};
  check_shapes(call.q, call.k, call.v);
  call.recipe = recipe_for(options, call.q.device().type());
  call.scale = options.scale.value_or(1.0 / std::sqrt(static_cast<double>(call.q.size(3))));
  call.causality = options.causality;
  call.key_mask = options.key_mask;
  check_mask(call);
  call.bias = options.bias;
  check_bias(call);
  call.quantization_seconds = options.quantization_seconds;
  call.out = empty_output(call.q);
  if (options.log_sum_exp != nullptr) {
    call.log_sum_exp = at::empty({call.q.size(0), call.q.size(1), call.q.size(2)}, call.q.options().dtype(at::kFloat));
  }
  return call;
}

at::Tensor run(const Chosen& chosen, const AttendCall& call, const AttendOptions& options) {
  if (options.report != nullptr) {
    options.report->add({.precision = call.recipe ? call.recipe->precision : Precision::full,
                         .recipe = call.recipe,
                         .backend = std::string(chosen.backend.name),
                         .fallback = chosen.fallback});
  }
  chosen.backend.run(call);
  if (options.log_sum_exp != nullptr) *options.log_sum_exp = call.log_sum_exp;
  return heads_first(call.out, options.layout);
}

void check_norms(const AttendCall& call, const HeadNorms& norms) {
  const std::int64_t tokens = call.q.size(2), dim = call.q.size(3);
  const auto fits = [&](const at::Tensor& x, at::IntArrayRef sizes, at::ScalarType type) {
    return x.defined() && x.sizes() == sizes && x.scalar_type() == type && x.device() == call.q.device() &&
           x.is_contiguous();
  };
  bool all = call.q.sizes() == call.k.sizes();
  for (const HeadNorms::Norm* norm : {&norms.q, &norms.k}) {
    all = all && fits(norm->weight, {dim}, call.q.scalar_type()) && fits(norm->bias, {dim}, call.q.scalar_type());
  }
  if (norms.cos.defined() || norms.sin.defined()) {
    const std::int64_t angles[] = {tokens - norms.first_rotated, dim / 2};
    all = all && fits(norms.cos, angles, at::kFloat) && fits(norms.sin, angles, at::kFloat);
  }
  if (!all) {
    throw Error(
        fmt::format("attend_before_norms: q {}, k {}; expected as many of each, weights and biases [{}] of "
                    "their dtype, angles [{} - {}, {}] float, all on one device and contiguous",
                    shape_of(call.q), shape_of(call.k), dim, tokens, norms.first_rotated, dim / 2));
  }
}

}  // namespace

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttendOptions& options) {
  const AttendCall call = call_of(q, k, v, options);
  return run(choose_backend(call, options.backend), call, options);
}

std::optional<at::Tensor> attend_before_norms(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                              const HeadNorms& norms, const AttendOptions& options) {
  AttendCall call = call_of(q, k, v, options);
  check_norms(call, norms);
  const Chosen chosen = choose_backend(call, options.backend);
  call.norms = norms;
  if (chosen.backend.takes_norms == nullptr || !chosen.backend.takes_norms(call)) return std::nullopt;
  return run(chosen, call, options);
}

bool norms_heads_on(c10::DeviceType device) {
  return std::ranges::any_of(backends(), [&](const Backend& backend) {
    return backend.takes_norms != nullptr && backend.missing(device).empty();
  });
}

}  // namespace bitreel
