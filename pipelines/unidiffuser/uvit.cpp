#include "pipelines/unidiffuser/uvit.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "base/error.h"
#include "pipelines/layers/sinusoid.h"
#include "pipelines/layers/work_clock.h"

namespace bitreel {
namespace {

constexpr double norm_eps = 1e-5;

Linear stacked(const Linear& q, const Linear& k, const Linear& v) {
  Linear all;
  all.weight = at::cat({q.weight, k.weight, v.weight});
  if (q.bias.defined()) all.bias = at::cat({q.bias, k.bias, v.bias});
  return all;
}

at::Tensor activated(const at::Tensor& x, UVitActivation activation) {
  if (activation == UVitActivation::geglu) {
    const std::vector<at::Tensor> halves = x.chunk(2, -1);
    return halves[0] * at::gelu(halves[1]);
  }
  return at::gelu(x, activation == UVitActivation::gelu_tanh ? "tanh" : "none");
}

at::Tensor normed_by(const LayerNorm& norm, const at::Tensor& x) {
  return timed("norm", [&] { return norm(x); });
}

at::Tensor added(const at::Tensor& branch, const at::Tensor& x) {
  return timed("norm", [&] { return branch + x; });
}

}  // namespace

UVit::Block::Block(const Scope& scope, const UVitConfig& config) {
  const std::int64_t dim = config.inner_dim();
  const Bias qkv_bias = config.attention_bias ? Bias::present : Bias::none;
  const Scope attention = scope / "attn1", feed_forward = scope / "ff" / "net";
  norm1 = LayerNorm(scope / "norm1", dim, norm_eps);
  norm3 = LayerNorm(scope / "norm3", dim, norm_eps);
  to_qkv = stacked(Linear(attention / "to_q", dim, dim, qkv_bias), Linear(attention / "to_k", dim, dim, qkv_bias),
                   Linear(attention / "to_v", dim, dim, qkv_bias));
  to_out = Linear(attention / "to_out" / 0, dim, dim);
  ff_in = Linear(feed_forward / 0 / "proj", dim, (config.activation == UVitActivation::geglu ? 8 : 4) * dim);
  ff_out = Linear(feed_forward / 2, 4 * dim, dim);
  for (Linear* linear : {&to_qkv, &to_out, &ff_in, &ff_out}) linear->pack();
}

at::Tensor UVit::Block::attend(const at::Tensor& x, const UVitConfig& config, const Attention& attention) const {
  const std::int64_t heads = config.num_attention_heads, head_dim = config.attention_head_dim;
  const std::vector<at::Tensor> qkv = timed("qkv", [&] { return to_qkv(x); })
                                          .view({x.size(0), x.size(1), 3, heads, head_dim})
                                          .permute({2, 0, 3, 1, 4})
                                          .unbind(0);
  const at::Tensor attended = timed("attention", [&] { return attention(qkv[0], qkv[1], qkv[2]); });
  return timed("out", [&] { return to_out(attended.transpose(1, 2).reshape(x.sizes())); });
}

at::Tensor UVit::Block::feed_forward(const at::Tensor& x, UVitActivation activation) const {
  const Gelu form = activation == UVitActivation::gelu_tanh ? Gelu::tanh : Gelu::erf;
  if (activation != UVitActivation::geglu && ff_in.takes_gelu_after(x, form)) {
    const at::Tensor hidden = timed("ff in", [&] { return ff_in.gelu_after(x, form); });
    return timed("ff out", [&] { return ff_out(hidden); });
  }
  const at::Tensor before = timed("ff in", [&] { return ff_in(x); });
  const at::Tensor hidden = timed("gelu", [&] { return activated(before, activation); });
  return timed("ff out", [&] { return ff_out(hidden); });
}

at::Tensor UVit::Block::operator()(const at::Tensor& input, const UVitConfig& config,
                                   const Attention& attention) const {
  const auto attended = [&](const at::Tensor& x) { return attend(x, config, attention); };
  const auto fed = [&](const at::Tensor& x) { return feed_forward(x, config.activation); };
  if (config.norms == UVitNorms::on_backbone && config.pre_layer_norm) {
    at::Tensor x = normed_by(norm1, input);
    x = normed_by(norm3, added(attended(x), x));
    return added(fed(x), x);
  }
  if (config.norms == UVitNorms::on_backbone) {
    const at::Tensor x = normed_by(norm1, added(attended(input), input));
    return normed_by(norm3, added(fed(x), x));
  }
  if (config.pre_layer_norm) {
    const at::Tensor x = added(attended(normed_by(norm1, input)), input);
    return added(fed(normed_by(norm3, x)), x);
  }
  const at::Tensor x = added(normed_by(norm1, attended(input)), input);
  return added(normed_by(norm3, fed(x)), x);
}

UVit::Skip::Skip(const Scope& scope, std::int64_t dim)
    : skip_linear(scope / "skip_linear", 2 * dim, dim), norm(scope / "norm", dim, norm_eps) {
  skip_linear.pack();
}

at::Tensor UVit::Skip::operator()(const at::Tensor& x, const at::Tensor& skipped) const {
  return normed_by(norm, timed("skip", [&] { return skip_linear(at::cat({x, skipped}, -1)); }));
}

UVit::UVit(const Weights& weights, const UVitConfig& config, LoadOptions options) : config_(config), options_(options) {
  Loader loader(weights, options);
  const Scope root = loader.root();
  const std::int64_t dim = config.inner_dim(), patch = config.patch_size;
  patch_weight_ = (root / "vae_img_in" / "proj").tensor("weight", {dim, config.in_channels, patch, patch});
  patch_bias_ = (root / "vae_img_in" / "proj").tensor("bias", {dim});
  clip_img_in_ = Linear(root / "clip_img_in", config.clip_img_dim, dim);
  text_in_ = Linear(root / "text_in", config.text_dim, dim);
  if (config.use_timestep_embedding) {
    const auto embedding = [&](const Scope& scope) {
      return TimestepEmbedding{.linear_1 = Linear(scope / "linear_1", dim, 4 * dim),
                               .linear_2 = Linear(scope / "linear_2", 4 * dim, dim)};
    };
    timestep_img_embed_ = embedding(root / "timestep_img_embed");
    timestep_text_embed_ = embedding(root / "timestep_text_embed");
  }
  positions_ = root.tensor("pos_embed", {1, config.positions(), dim});
  if (config.use_data_type_embedding) {
    data_type_embedding_ = (root / "data_type_token_embedding").tensor("weight", {2, dim});
    const at::Tensor own = root.tensor("data_type_pos_embed_token", {1, 1, dim});
    positions_ = at::cat({positions_.narrow(1, 0, 2), own, positions_.narrow(1, 2, config.positions() - 2)}, 1);
  }
  const Scope transformer = root / "transformer";
  loader.ignore("transformer.pos_embed.");  // a second patch embedding that the peer stores and never uses
  for (std::int64_t i = 0; i < config.depth(); ++i)
    blocks_.emplace_back(transformer / "transformer_in_blocks" / i, config);
  blocks_.emplace_back(transformer / "transformer_mid_block", config);
  for (std::int64_t i = 0; i < config.depth(); ++i) {
    const Scope out = transformer / "transformer_out_blocks" / i;
    skips_.emplace_back(out / "skip", dim);
    blocks_.emplace_back(out / "block", config);
  }
  norm_out_ = LayerNorm(transformer / "norm_out", dim, norm_eps);
  vae_img_out_ = Linear(root / "vae_img_out", dim, patch * patch * config.in_channels);
  clip_img_out_ = Linear(root / "clip_img_out", dim, config.clip_img_dim);
  text_out_ = Linear(root / "text_out", dim, config.text_dim);
  loader.finish();
}

at::Tensor UVit::time_token(const at::Tensor& timesteps, const std::optional<TimestepEmbedding>& embedding) const {
  at::Tensor token = timestep_sinusoid(timesteps.to(options_.device), config_.inner_dim()).to(options_.dtype);
  if (embedding) token = embedding->linear_2(at::silu(embedding->linear_1(token)));
  return token.unsqueeze(1);
}

at::Tensor UVit::embed(const UVitInput& input, std::int64_t data_type) const {
  const at::Tensor patches =
      at::conv2d(input.image_vae, patch_weight_, patch_bias_, /*stride=*/config_.patch_size).flatten(2).transpose(1, 2);
  std::vector<at::Tensor> tokens = {time_token(input.image_timesteps, timestep_img_embed_),
                                    time_token(input.text_timesteps, timestep_text_embed_)};
  if (config_.use_data_type_embedding) {
    tokens.push_back(data_type_embedding_[data_type].expand({input.text.size(0), 1, config_.inner_dim()}));
  }
  tokens.insert(tokens.end(), {text_in_(input.text), clip_img_in_(input.image_clip), patches});
  return at::cat(tokens, 1) + positions_;
}

at::Tensor UVit::unpatchify(const at::Tensor& patches) const {
  const std::int64_t p = config_.patch_size, side = config_.sample_size / p, channels = config_.in_channels;
  return patches.reshape({-1, side, side, p, p, channels})
      .permute({0, 5, 1, 3, 2, 4})
      .reshape({-1, channels, side * p, side * p});
}

UVitOutput UVit::operator()(const UVitInput& input, const UVitContext& context) const {
  const std::int64_t size = config_.sample_size, text_tokens = config_.num_text_tokens;
  if (input.image_vae.size(2) != size || input.image_vae.size(3) != size || input.text.size(1) != text_tokens) {
    throw UsageError(
        fmt::format("latents of {}x{} with {} text tokens: this model's position table is for {}x{} and {}",
                    input.image_vae.size(3), input.image_vae.size(2), input.text.size(1), size, size, text_tokens),
        "leave out width and height");
  }
  at::Tensor x = timed("embed", [&] { return embed(input, context.data_type); });
  if (context.on_layer) context.on_layer(-1, x);
  std::vector<at::Tensor> skipped;
  const std::int64_t depth = config_.depth();
  for (std::int64_t layer = 0; layer < config_.layers(); ++layer) {
    if (layer > depth) {
      x = skips_[static_cast<std::size_t>(layer - depth - 1)](x, skipped.back());
      skipped.pop_back();
    }
    x = blocks_[static_cast<std::size_t>(layer)](x, config_,
                                                 [&](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
                                                   return context.attention(layer, q, k, v);
                                                 });
    if (layer < depth) skipped.push_back(x);
    if (context.on_layer) context.on_layer(layer, x);
  }
  const Timed until_done("output");
  x = norm_out_(x);
  const std::int64_t text_begin = x.size(1) - config_.patches() - 1 - text_tokens;
  return {.image_vae = unpatchify(vae_img_out_(x.narrow(1, text_begin + text_tokens + 1, config_.patches()))),
          .image_clip = clip_img_out_(x.narrow(1, text_begin + text_tokens, 1)),
          .text = text_out_(x.narrow(1, text_begin, text_tokens))};
}

}  // namespace bitreel
