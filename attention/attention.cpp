#include "attention/attention.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <mutex>
#include <set>
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

std::optional<Recipe> recipe_for(const AttendOptions& options) {
  if (options.recipe) {
    check(*options.recipe);
    return options.recipe;
  }
  if (options.precision == Precision::full) return std::nullopt;
  return recipe_of(options.precision);
}

// Tokens outermost in memory: [B, N, H, D] is what an output projection reads.
at::Tensor empty_output(const at::Tensor& q) {
  return at::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.options()).transpose(1, 2);
}

class Fallbacks {
 public:
  void set(std::function<void(const std::string&)> report) {
    const std::scoped_lock lock(mutex_);
    report_ = std::move(report);
  }
  void say(const std::string& message) {
    const std::scoped_lock lock(mutex_);
    if (report_ && said_.insert(message).second) report_(message);
  }

 private:
  std::mutex mutex_;
  std::function<void(const std::string&)> report_;
  std::set<std::string> said_;
};

Fallbacks& fallbacks() {
  static Fallbacks all;
  return all;
}

// The first kernel's reason stands for the others': they refuse recipes alike.
void report_if_oracle(const Backend& chosen, const AttendCall& call, const std::string& wanted) {
  if (chosen.role == Role::kernel || chosen.name == wanted || !call.recipe) return;
  std::string reason = "no kernel for this device";
  for (const Backend& backend : backends()) {
    if (backend.role != Role::kernel || backend.arithmetic != chosen.arithmetic || !backend.missing().empty()) continue;
    reason = backend.refuses(call);
    break;
  }
  fallbacks().say(fmt::format("attention {}: no kernel runs it ({}); the slow backend {} does", text_of(*call.recipe),
                              reason, chosen.name));
}

}  // namespace

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttendOptions& options) {
  const bool swaps = options.layout == Layout::tokens_first && q.dim() == 4 && k.dim() == 4 && v.dim() == 4;
  const auto heads_first = [&](const at::Tensor& x) { return swaps ? x.transpose(1, 2) : x; };
  AttendCall call{.q = heads_first(q), .k = heads_first(k), .v = heads_first(v), .recipe = recipe_for(options)};
  check_shapes(call.q, call.k, call.v);
  call.scale = options.scale.value_or(1.0 / std::sqrt(static_cast<double>(call.q.size(3))));
  call.causality = options.causality;
  call.key_mask = options.key_mask;
  check_mask(call);
  call.bias = options.bias;
  call.quantization_seconds = options.quantization_seconds;
  call.out = empty_output(call.q);
  if (options.log_sum_exp != nullptr) {
    call.log_sum_exp = at::empty({call.q.size(0), call.q.size(1), call.q.size(2)}, call.q.options().dtype(at::kFloat));
    *options.log_sum_exp = call.log_sum_exp;
  }
  const Backend& backend = choose_backend(call, options.backend);
  report_if_oracle(backend, call, options.backend);
  backend.run(call);
  return heads_first(call.out);
}

void on_fallback(std::function<void(const std::string& message)> report) {
  fallbacks().set(std::move(report));
}

}  // namespace bitreel
