// Quantized attention as a recipe defines it, in plain tensor operations: what every kernel must agree with, and what
// runs a recipe where no kernel can. Integers, scales and the rounding of P are the recipe's (attention/quantize.h);
// everything between them is fp64, so that what a kernel adds of its own shows.
//
// Every recipe, shape, mask and dtype up to fp32, on the CPU and CUDA. One head and one block of keys at a time.
#include "attention/backends.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "attention/torch/quantize.h"

namespace bitreel {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// What one head attends with: keys that count, and their indices among all.
struct Keys {
  at::Tensor k, v;     // [n, D]
  at::Tensor indices;  // [n] int64
  std::int64_t all;
};

// The softmax so far, of every query.
struct Rows {
  at::Tensor max;  // [Nq, 1], of the logits in log2 units
  at::Tensor sum;  // [Nq, 1], relative to max
  at::Tensor out;  // [Nq, D], relative to max, in units of V's scales
};

struct Weights {
  at::Tensor p;    // [Nq, keys], as it is multiplied with V
  at::Tensor sum;  // [Nq, 1]
  double one;      // what stands for 1 in both
};

Weights byte_weights(const at::Tensor& log2, const Recipe& recipe) {
  const double levels = recipe.p_levels;
  at::Tensor p;
  if (recipe.exponential == Exponential::table) {
    const at::Tensor index = at::round(log2 * -7).clamp_max(63);
    p = at::round(levels * at::exp2(index / -7));
  } else {
    p = at::round(levels * at::exp2(log2));
  }
  return {p, p.sum(1, /*keepdim=*/true), levels};
}

// P from logits relative to their maximum, in log2 units; -infinity for keys that the query does not see.
Weights weights_of(const at::Tensor& log2, const Recipe& recipe) {
  if (recipe.pv == PvFormat::int8) return byte_weights(log2, recipe);
  const at::Tensor exact = at::exp2(log2);
  const at::Tensor exact_sum = exact.sum(1, /*keepdim=*/true);
  if (recipe.pv == PvFormat::fp16 || recipe.pv == PvFormat::fp16_fp16_sum) {
    return {exact.to(at::kHalf).to(at::kDouble), exact_sum, 1};
  }
  constexpr double one = 448;
  const at::Tensor p = round_to_e4m3(exact * one);
  return {p, recipe.pv == PvFormat::fp8_ones_row ? p.sum(1, /*keepdim=*/true) : exact_sum * one, one};
}

// P V of one key block: exact, or with sums in fp16 as mma.m16n8k16 leaves them every 16 keys.
at::Tensor product(const at::Tensor& p, const at::Tensor& v, PvFormat format) {
  if (format != PvFormat::fp16_fp16_sum) return at::matmul(p, v);
  constexpr std::int64_t keys_per_sum = 16;
  at::Tensor sum = at::zeros({p.size(0), v.size(1)}, p.options());
  for (std::int64_t begin = 0; begin < v.size(0); begin += keys_per_sum) {
    const at::Tensor part =
        at::matmul(p.slice(1, begin, begin + keys_per_sum), v.slice(0, begin, begin + keys_per_sum));
    sum = (sum + part).to(at::kHalf).to(at::kDouble);
  }
  return sum;
}

// Before any key is seen max is -infinity and there is nothing to rescale.
at::Tensor power(const at::Tensor& log2) {
  return at::exp2(log2).nan_to_num(0.0);
}

void add_block(Rows& rows, const at::Tensor& logits, const at::Tensor& v, const Recipe& recipe) {
  const at::Tensor block_max = logits.amax(1, /*keepdim=*/true);
  const at::Tensor max = at::maximum(rows.max, block_max);
  const at::Tensor& against = recipe.maximum == Maximum::block ? block_max : max;
  const Weights weights = weights_of((logits - against).nan_to_num(-infinity, {}, -infinity), recipe);
  const at::Tensor before = power(rows.max - max), now = power(against - max) / weights.one;
  rows.sum = rows.sum * before + weights.sum * now;
  rows.out = rows.out * before + product(weights.p, v, recipe.pv) * now;
  rows.max = max;
}

// What the integers stand for, multiplied: (q - mean(q)) . (k - mean(k)), [Nq, keys of the block].
at::Tensor products_of(const QuantizedTokens& q, const QuantizedTokens& k, std::int64_t begin, std::int64_t end,
                       const Recipe& recipe) {
  const at::Tensor keys = k.integers.slice(0, begin, end), key_scales = k.scales.slice(0, begin, end);
  if (recipe.channel_group == 0) {
    // Sums of up to 1040 products of at most 127^2 are below 2^24: exact in fp32.
    const at::Tensor integers = at::matmul(q.integers.to(at::kFloat), keys.to(at::kFloat).t()).to(at::kDouble);
    return integers * q.scales.to(at::kDouble).unsqueeze(1) * key_scales.to(at::kDouble);
  }
  const auto scaled = [&](const at::Tensor& integers, const at::Tensor& scales) {
    return integers.to(at::kDouble) * of_each_channel(scales.to(at::kDouble), recipe.channel_group, integers.size(1));
  };
  return at::matmul(scaled(q.integers, q.scales), scaled(keys, key_scales).t());
}

// [Nq, keys of the block], in log2 units; -infinity for keys that the query does not see.
at::Tensor logits_of(const AttendCall& call, const QuantizedTokens& q, const QuantizedTokens& k, const Keys& keys,
                     std::int64_t begin, std::int64_t end) {
  const double factor = call.scale * std::numbers::log2e;
  at::Tensor logits = products_of(q, k, begin, end, *call.recipe) * factor;
  const at::Tensor row = at::arange(logits.size(0), keys.indices.options());
  if (call.recipe->smooth_q == Smoothing::on) {
    const at::Tensor of_means =
        at::matmul(q.mean.to(at::kDouble), k.smoothed.slice(0, begin, end).to(at::kDouble).t()) * factor;
    logits = logits + of_means.index_select(0, at::floor_divide(row, query_block));
  }
  if (call.causality == Causality::bottom_right) {
    const at::Tensor last_seen = row + (keys.all - logits.size(0));
    logits = logits.masked_fill(keys.indices.slice(0, begin, end) > last_seen.unsqueeze(1), -infinity);
  }
  return logits;
}

struct HeadResult {
  at::Tensor out;          // [Nq, D]
  at::Tensor log_sum_exp;  // [Nq]
};

HeadResult same_for_all(const at::Tensor& queries, double out, double log_sum_exp) {
  const auto fp64 = queries.options().dtype(at::kDouble);
  return {.out = at::full({queries.size(0), queries.size(1)}, out, fp64),
          .log_sum_exp = at::full({queries.size(0)}, log_sum_exp, fp64)};
}

bool is_finite(const at::Tensor& x) {
  return x.isfinite().all().item<bool>();
}

// Of finite queries.
HeadResult attend_finite(const AttendCall& call, const at::Tensor& queries, const Keys& keys) {
  if (keys.k.size(0) == 0) return same_for_all(queries, 0, -infinity);
  const Recipe& recipe = *call.recipe;
  const QuantizedTokens q = quantize_queries(queries, recipe), k = quantize_keys(keys.k, recipe);
  const QuantizedValues v = quantize_values(keys.v, recipe);
  if (!is_finite(k.smoothed) || !is_finite(v.values)) return same_for_all(queries, nan, nan);

  const auto fp64 = queries.options().dtype(at::kDouble);
  Rows rows{.max = at::full({queries.size(0), 1}, -infinity, fp64),
            .sum = at::zeros({queries.size(0), 1}, fp64),
            .out = at::zeros({queries.size(0), queries.size(1)}, fp64)};
  for (std::int64_t begin = 0; begin < keys.k.size(0); begin += recipe.key_block) {
    const std::int64_t end = std::min(begin + recipe.key_block, keys.k.size(0));
    add_block(rows, logits_of(call, q, k, keys, begin, end), v.values.slice(0, begin, end).to(at::kDouble), recipe);
  }
  const at::Tensor from_mean = at::matmul(queries.to(at::kDouble), k.mean.to(at::kDouble).t()) * call.scale;
  const at::Tensor out = rows.out / rows.sum * v.scales.to(at::kDouble) + v.mean.to(at::kDouble);
  return {.out = out.masked_fill(rows.sum == 0, 0),
          .log_sum_exp = ((rows.max + at::log2(rows.sum)) * std::numbers::ln2 + from_mean).squeeze(1)};
}

HeadResult attend_head(const AttendCall& call, const at::Tensor& queries, const Keys& keys) {
  const at::Tensor broken = queries.isfinite().logical_not().any(1);
  const HeadResult result = attend_finite(call, queries.masked_fill(broken.unsqueeze(1), 0), keys);
  return {.out = result.out.masked_fill(broken.unsqueeze(1), nan),
          .log_sum_exp = result.log_sum_exp.masked_fill(broken, nan)};
}

Keys counted_keys(const AttendCall& call, std::int64_t batch, std::int64_t head) {
  const at::Tensor k = call.k[batch][head], v = call.v[batch][head];
  if (!call.key_mask.defined()) return {k, v, at::arange(k.size(0), k.options().dtype(at::kLong)), k.size(0)};
  const at::Tensor indices = at::nonzero(call.key_mask[batch]).squeeze(1);
  return {k.index_select(0, indices), v.index_select(0, indices), indices, k.size(0)};
}

void run(const AttendCall& call) {
  if (call.q.size(2) == 0) return;
  const std::int64_t queries_per_key = call.q.size(1) / call.k.size(1);
  for (std::int64_t batch = 0; batch < call.q.size(0); ++batch) {
    for (std::int64_t head = 0; head < call.q.size(1); ++head) {
      const Keys keys = counted_keys(call, batch, head / queries_per_key);
      const HeadResult result = attend_head(call, call.q[batch][head].to(at::kFloat), keys);
      call.out[batch][head].copy_(result.out);
      if (call.log_sum_exp.defined()) call.log_sum_exp[batch][head].copy_(result.log_sum_exp);
    }
  }
}

std::string missing(c10::DeviceType) {
  return {};
}

std::string refuses(const AttendCall& call) {
  if (!call.recipe) return "computes recipes, not full precision";
  if (call.bias.defined()) return "recipes have no bias";
  if (call.q.scalar_type() == at::kDouble) return "recipes are defined for inputs up to fp32";
  return {};
}

}  // namespace

std::span<const Backend> emulated_backends() {
  static constexpr Backend backend{.name = "emulated",
                                   .arithmetic = Arithmetic::quantized,
                                   .role = Role::oracle,
                                   .summary = "every recipe in plain tensor operations, fp64 between the roundings",
                                   .missing = missing,
                                   .refuses = refuses,
                                   .run = run};
  return {&backend, 1};
}

}  // namespace bitreel
