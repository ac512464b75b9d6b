#include "pipelines/cogvideox/block.h"

#include <ATen/ATen.h>

namespace bitreel {
namespace {

Linear stacked(const Linear& q, const Linear& k, const Linear& v) {
  Linear all;
  all.weight = at::cat({q.weight, k.weight, v.weight});
  if (q.bias.defined()) all.bias = at::cat({q.bias, k.bias, v.bias});
  return all;
}

// LN(x) * (1 + scale) + shift, with the text's modulation on the first rows and the video's on the rest.
at::Tensor modulated_norm(const LayerNorm& norm, const at::Tensor& x, const Modulation& text, const Modulation& video,
                          std::int64_t text_tokens) {
  const at::Tensor normed = norm(x);
  const std::int64_t video_tokens = x.size(1) - text_tokens;
  return at::cat({normed.narrow(1, 0, text_tokens) * (1 + text.scale) + text.shift,
                  normed.narrow(1, text_tokens, video_tokens) * (1 + video.scale) + video.shift},
                 1);
}

// x + gate * update, gates as above.
at::Tensor gated_add(const at::Tensor& x, const at::Tensor& update, const Modulation& text, const Modulation& video,
                     std::int64_t text_tokens) {
  const std::int64_t video_tokens = x.size(1) - text_tokens;
  return at::cat({x.narrow(1, 0, text_tokens) + text.gate * update.narrow(1, 0, text_tokens),
                  x.narrow(1, text_tokens, video_tokens) + video.gate * update.narrow(1, text_tokens, video_tokens)},
                 1);
}

// Rotates adjacent pairs of features of the video rows of x [B, H, N, D], in fp32.
void rotate(at::Tensor& x, std::int64_t text_tokens, const Rotary& rotary) {
  at::Tensor video = x.narrow(2, text_tokens, x.size(2) - text_tokens);
  const at::Tensor pairs = video.to(at::kFloat).unflatten(3, {-1, 2});
  const at::Tensor turned = at::stack({-pairs.select(-1, 1), pairs.select(-1, 0)}, -1).flatten(3);
  video.copy_(video.to(at::kFloat) * rotary.cos + turned * rotary.sin);
}

}  // namespace

TransformerBlock::NormZero::NormZero(const Scope& scope, const TransformerConfig& config)
    : linear(scope / "linear", config.time_embed_dim, 6 * config.inner_dim()),
      norm(scope / "norm", config.inner_dim(), config.norm_eps) {}

TransformerBlock::TransformerBlock(const Scope& scope, const TransformerConfig& config)
    : heads_(config.num_attention_heads), head_dim_(config.attention_head_dim) {
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
}

TransformerBlock::Modulations TransformerBlock::modulations(const NormZero& zero, const at::Tensor& time) {
  const std::vector<at::Tensor> six = zero.linear(time).unsqueeze(1).chunk(6, -1);
  return {.video = {six[0], six[1], six[2]}, .text = {six[3], six[4], six[5]}};
}

at::Tensor TransformerBlock::attend_jointly(const at::Tensor& x, std::int64_t text_tokens, const Rotary& rotary,
                                            const AttendOptions& attention) const {
  const std::int64_t batch = x.size(0), tokens = x.size(1);
  // [B, N, 3, H, D] -> three of [B, H, N, D]
  const at::Tensor qkv = to_qkv_(x).view({batch, tokens, 3, heads_, head_dim_}).permute({2, 0, 3, 1, 4});
  at::Tensor q = norm_q_(qkv[0]);
  at::Tensor k = norm_k_(qkv[1]);
  if (rotary.cos.defined()) {
    rotate(q, text_tokens, rotary);
    rotate(k, text_tokens, rotary);
  }
  const at::Tensor attended = attend(q, k, qkv[2], attention);
  return to_out_(attended.transpose(1, 2).reshape({batch, tokens, heads_ * head_dim_}));
}

at::Tensor TransformerBlock::operator()(const at::Tensor& x, const at::Tensor& time, std::int64_t text_tokens,
                                        const Rotary& rotary, const AttendOptions& attention) const {
  const Modulations m1 = modulations(norm1_, time);
  const at::Tensor attended =
      attend_jointly(modulated_norm(norm1_.norm, x, m1.text, m1.video, text_tokens), text_tokens, rotary, attention);
  const at::Tensor h = gated_add(x, attended, m1.text, m1.video, text_tokens);

  const Modulations m2 = modulations(norm2_, time);
  const at::Tensor hidden = ff_in_(modulated_norm(norm2_.norm, h, m2.text, m2.video, text_tokens));
  return gated_add(h, ff_out_(at::gelu(hidden, "tanh")), m2.text, m2.video, text_tokens);
}

}  // namespace bitreel
