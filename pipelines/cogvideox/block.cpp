#include "pipelines/cogvideox/block.h"

#include <ATen/ATen.h>

#include <optional>
#include <utility>

#include "attention/attention.h"
#include "pipelines/layers/work_clock.h"

namespace bitreel {
namespace {

Linear stacked(const Linear& q, const Linear& k, const Linear& v) {
  Linear all;
  all.weight = at::cat({q.weight, k.weight, v.weight});
  if (q.bias.defined()) all.bias = at::cat({q.bias, k.bias, v.bias});
  return all;
}

at::Tensor product_of(const Linear& linear, const Normed& normed) {
  if (const auto* rows = std::get_if<at::Tensor>(&normed.rows)) return linear(*rows);
  return linear(std::get<QuantizedRows>(normed.rows)).view({normed.sum.size(0), normed.sum.size(1), -1});
}

// One half of a block's, [1 or B, 6 D], for a batch of so many.
Modulations modulations_of(const at::Tensor& half, std::int64_t batch, std::int64_t text_tokens) {
  const std::vector<at::Tensor> six = half.unsqueeze(1).expand({batch, -1, -1}).chunk(6, -1);
  return {.text = {six[3], six[4], six[5]}, .video = {six[0], six[1], six[2]}, .text_tokens = text_tokens};
}

}  // namespace

TransformerBlock::NormZero::NormZero(const Scope& scope, const TransformerConfig& config)
    : linear(scope / "linear", config.time_embed_dim, 6 * config.inner_dim()),
      norm(scope / "norm", config.inner_dim(), config.norm_eps) {}

TransformerBlock::TransformerBlock(const Scope& scope, const TransformerConfig& config, Elementwise elementwise,
                                   const LinearOptions& linear_options)
    : heads_(config.num_attention_heads), head_dim_(config.attention_head_dim), elementwise_(elementwise) {
  const std::int64_t dim = config.inner_dim();
  const Bias qkv_bias = config.attention_bias ? Bias::present : Bias::none;
  constexpr double qk_norm_eps = 1e-6;
  norm1_ = NormZero(scope / "norm1", config);
  const Scope attention = scope / "attn1";
  to_qkv_ = stacked(Linear(attention / "to_q", dim, dim, qkv_bias), Linear(attention / "to_k", dim, dim, qkv_bias),
                    Linear(attention / "to_v", dim, dim, qkv_bias));
  norm_q_ = LayerNorm(attention / "norm_q", head_dim_, qk_norm_eps);
  norm_k_ = LayerNorm(attention / "norm_k", head_dim_, qk_norm_eps);
  to_out_ = Linear(attention / "to_out" / 0, dim, dim);
  norm2_ = NormZero(scope / "norm2", config);
  const Scope feed_forward = scope / "ff" / "net";
  ff_in_ = Linear(feed_forward / 0 / "proj", dim, 4 * dim);
  ff_out_ = Linear(feed_forward / 2, 4 * dim, dim);
  for (Linear* linear : {&to_qkv_, &to_out_, &ff_in_, &ff_out_}) linear->pack(linear_options);
}

void TransformerBlock::list_tensors(TensorList& list) {
  for (Linear* linear : {&norm1_.linear, &norm2_.linear, &to_qkv_, &to_out_, &ff_in_, &ff_out_})
    linear->list_tensors(list);
  for (LayerNorm* norm : {&norm1_.norm, &norm2_.norm, &norm_q_, &norm_k_}) norm->list_tensors(list);
}

at::Tensor TransformerBlock::modulation(const at::Tensor& time) const {
  return at::cat({norm1_.linear(time), norm2_.linear(time)}, 1);
}

// By value: what has gone into the sum is not held while the rest of the block works.
Normed TransformerBlock::norm_for(const Linear& reader, const NormZero& zero, Residual residual,
                                  const Modulations& m) const {
  return timed("norm", [&] { return normed(residual, zero.norm, m, reader.row_format(), elementwise_); });
}

// Queries and keys are normed on their way into the kernel that attends, where it does that, else in a pass of their
// own.
at::Tensor TransformerBlock::attend_jointly(const Normed& normed, std::int64_t text_tokens, const Rotary& rotary,
                                            const Attends& attends) const {
  const LayerAttention& attention = attends.attention;
  const std::int64_t batch = normed.sum.size(0), tokens = normed.sum.size(1);
  const at::Tensor qkv =
      timed("qkv", [&] { return product_of(to_qkv_, normed); }).view({batch, tokens, 3, heads_, head_dim_});
  std::optional<at::Tensor> attended;
  if (attention.before_norms && path_of(elementwise_, qkv.device(), qkv.scalar_type()) == Elementwise::fused) {
    const HeadNorms norms = {.q = {norm_q_.weight, norm_q_.bias, norm_q_.eps},
                             .k = {norm_k_.weight, norm_k_.bias, norm_k_.eps},
                             .cos = rotary.cos,
                             .sin = rotary.sin,
                             .first_rotated = text_tokens};
    const auto heads = [&](std::int64_t which) { return qkv.select(2, which).transpose(1, 2); };
    attended =
        timed("attention", [&] { return attention.before_norms(attends.layer, heads(0), heads(1), heads(2), norms); });
  }
  if (!attended) {
    const QueryKeyValue heads =
        timed("heads", [&] { return split_heads(qkv, norm_q_, norm_k_, rotary, text_tokens, elementwise_); });
    attended = timed("attention", [&] { return attention(attends.layer, heads.q, heads.k, heads.v); });
  }
  return timed("out", [&] { return to_out_(attended->transpose(1, 2).reshape({batch, tokens, heads_ * head_dim_})); });
}

// GELU is a pass of its own where neither product takes it in.
at::Tensor TransformerBlock::feed_forward(const Normed& normed) const {
  const at::Tensor& x = normed.sum;
  const bool fused = path_of(elementwise_, x.device(), x.scalar_type()) == Elementwise::fused;
  if (const auto* rows = std::get_if<at::Tensor>(&normed.rows);
      fused && rows != nullptr && ff_in_.takes_gelu_after(*rows, Gelu::tanh)) {
    const at::Tensor hidden = timed("ff in", [&] { return ff_in_.gelu_after(*rows, Gelu::tanh); });
    return timed("ff out", [&] { return ff_out_(hidden); });
  }
  const at::Tensor before = timed("ff in", [&] { return product_of(ff_in_, normed); });
  if (fused && ff_out_.takes_gelu_before(before)) return timed("ff out", [&] { return ff_out_.gelu_before(before); });
  const at::Tensor hidden = timed("gelu", [&] { return gelu_tanh(before, elementwise_); });
  return timed("ff out", [&] { return ff_out_(hidden); });
}

Residual TransformerBlock::operator()(Residual residual, const at::Tensor& modulation, std::int64_t text_tokens,
                                      const Rotary& rotary, const Attends& attends) const {
  const std::int64_t batch = residual.x.size(0);
  const std::vector<at::Tensor> halves = modulation.chunk(2, 1);
  const Modulations m1 = modulations_of(halves[0], batch, text_tokens);
  const Modulations m2 = modulations_of(halves[1], batch, text_tokens);
  Normed first = norm_for(to_qkv_, norm1_, std::move(residual), m1);
  at::Tensor attended = attend_jointly(first, text_tokens, rotary, attends);
  Residual between{.x = std::move(first.sum), .update = std::move(attended), .gates = m1};
  first = {};
  Normed second = norm_for(ff_in_, norm2_, std::move(between), m2);
  at::Tensor update = feed_forward(second);
  return {.x = std::move(second.sum), .update = std::move(update), .gates = m2};
}

}  // namespace bitreel
