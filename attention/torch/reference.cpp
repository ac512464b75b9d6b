// Attention as the formula reads, in fp64: the oracle that every other backend is measured against.
//
// Full precision only; any shape, mask, bias and dtype. One head at a time, with its whole Nq x Nkv matrix: some 40
// bytes for each of its entries. NaN and infinity spread as the formula spreads them.
#include "attention/backends.h"

#include <ATen/ATen.h>

#include <limits>

#include "attention/torch/visibility.h"

namespace bitreel {
namespace {

void run(const AttendCall& call) {
  const std::int64_t batches = call.q.size(0), heads = call.q.size(1), queries = call.q.size(2), keys = call.k.size(2);
  const std::int64_t queries_per_key = heads / call.k.size(1);
  const at::Tensor k = only_counted(call.k, call), v = only_counted(call.v, call);
  at::Tensor hidden = at::zeros({1}, call.q.options().dtype(at::kBool));
  if (const at::Tensor visible = visible_keys(call); visible.defined()) hidden = visible.logical_not();
  hidden = hidden.expand({batches, heads, queries, keys});
  const at::Tensor bias =
      (call.bias.defined() ? call.bias : at::zeros({1}, call.q.options())).expand({batches, heads, queries, keys});

  for (std::int64_t b = 0; b < batches; ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      const auto fp64 = [&](const at::Tensor& x, std::int64_t head) { return x[b][head].to(at::kDouble); };
      const at::Tensor products = at::matmul(fp64(call.q, h), fp64(k, h / queries_per_key).t());
      const at::Tensor logits =
          (products * call.scale + fp64(bias, h)).masked_fill(hidden[b][h], -std::numeric_limits<double>::infinity());
      const at::Tensor weights = at::softmax(logits, 1);
      const at::Tensor sees_nothing = hidden[b][h].all(1, /*keepdim=*/true);
      call.out[b][h].copy_(at::matmul(weights, fp64(v, h / queries_per_key)).masked_fill(sees_nothing, 0));
      if (call.log_sum_exp.defined()) call.log_sum_exp[b][h].copy_(at::logsumexp(logits, 1));
    }
  }
}

std::string missing(c10::DeviceType) {
  return {};
}

std::string refuses(const AttendCall& call) {
  return call.recipe ? "quantizes nothing" : "";
}

}  // namespace

std::span<const Backend> reference_backends() {
  static constexpr Backend backend{.name = "reference",
                                   .arithmetic = Arithmetic::full,
                                   .role = Role::oracle,
                                   .summary = "the formula in fp64",
                                   .missing = missing,
                                   .refuses = refuses,
                                   .run = run};
  return {&backend, 1};
}

}  // namespace bitreel
