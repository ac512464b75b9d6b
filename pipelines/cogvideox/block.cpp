#include "pipelines/cogvideox/block.h"

#include <ATen/ATen.h>

#include "pipelines/layers/work_clock.h"

namespace bitreel {
namespace {

Linear stacked(const Linear& q, const Linear& k, const Linear& v) {
  Linear all;
  all.weight = at::cat({q.weight, k.weight, v.weight});
  if (q.bias.defined()) all.bias = at::cat({q.bias, k.bias, v.bias});
  return all;
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

at::Tensor TransformerBlock::modulation(const at::Tensor& time) const {
  return at::cat({norm1_.linear(time), norm2_.linear(time)}, 1);
}

at::Tensor TransformerBlock::project(const Linear& linear, const char* work, const NormZero& zero, const at::Tensor& x,
                                     const Modulations& m) const {
  if (const auto format = linear.row_format()) {
    const QuantizedRows rows = timed("norm", [&] { return modulated_norm(zero.norm, x, m, *format, elementwise_); });
    return timed(work, [&] { return linear(rows); }).view({x.size(0), x.size(1), -1});
  }
  const at::Tensor normed = timed("norm", [&] { return modulated_norm(zero.norm, x, m, elementwise_); });
  return timed(work, [&] { return linear(normed); });
}

at::Tensor TransformerBlock::attend_jointly(const at::Tensor& x, const Modulations& m, const Rotary& rotary,
                                            const Attention& attention) const {
  const std::int64_t batch = x.size(0), tokens = x.size(1);
  const at::Tensor qkv = project(to_qkv_, "qkv", norm1_, x, m).view({batch, tokens, 3, heads_, head_dim_});
  const QueryKeyValue heads =
      timed("heads", [&] { return split_heads(qkv, norm_q_, norm_k_, rotary, m.text_tokens, elementwise_); });
  const at::Tensor attended = timed("attention", [&] { return attention(heads.q, heads.k, heads.v); });
  return timed("out", [&] { return to_out_(attended.transpose(1, 2).reshape({batch, tokens, heads_ * head_dim_})); });
}

// GELU is a pass of its own where neither product takes it in.
at::Tensor TransformerBlock::feed_forward(const at::Tensor& x, const Modulations& m) const {
  const bool fused = path_of(elementwise_, x.device(), x.scalar_type()) == Elementwise::fused;
  if (fused && ff_in_.takes_gelu_after(x)) {
    const at::Tensor normed = timed("norm", [&] { return modulated_norm(norm2_.norm, x, m, elementwise_); });
    const at::Tensor hidden = timed("ff in", [&] { return ff_in_.gelu_after(normed); });
    return timed("ff out", [&] { return ff_out_(hidden); });
  }
  const at::Tensor before = project(ff_in_, "ff in", norm2_, x, m);
  if (fused && ff_out_.takes_gelu_before(before)) return timed("ff out", [&] { return ff_out_.gelu_before(before); });
  const at::Tensor hidden = timed("gelu", [&] { return gelu_tanh(before, elementwise_); });
  return timed("ff out", [&] { return ff_out_(hidden); });
}

at::Tensor TransformerBlock::operator()(const at::Tensor& x, const at::Tensor& modulation, std::int64_t text_tokens,
                                        const Rotary& rotary, const Attention& attention) const {
  const std::vector<at::Tensor> halves = modulation.chunk(2, 1);
  const Modulations m1 = modulations_of(halves[0], x.size(0), text_tokens);
  const Modulations m2 = modulations_of(halves[1], x.size(0), text_tokens);
  const auto added = [&](const at::Tensor& rows, const at::Tensor& update, const Modulations& m) {
    return timed("gate", [&] { return gated_add(rows, update, m, elementwise_); });
  };
  const at::Tensor h = added(x, attend_jointly(x, m1, rotary, attention), m1);
  return added(h, feed_forward(h, m2), m2);
}

}  // namespace bitreel
