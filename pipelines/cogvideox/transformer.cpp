#include "pipelines/cogvideox/transformer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "pipelines/layers/work_clock.h"

namespace bitreel {
namespace {

std::int64_t patch_frames(const TransformerConfig& config) {
  return config.patch_size_t.value_or(1);
}

// The 1.0 patch embedding is a convolution whose stride is its size: a linear map of each patch's values.
Linear load_patch_projection(const Scope& scope, const TransformerConfig& config) {
  const std::int64_t p = config.patch_size;
  if (config.patch_size_t) return {scope, config.in_channels * p * p * *config.patch_size_t, config.inner_dim()};
  Linear linear;
  linear.weight = scope.tensor("weight", {config.inner_dim(), config.in_channels, p, p}).flatten(1);
  if (config.patch_bias) linear.bias = scope.tensor("bias", {config.inner_dim()});
  return linear;
}

}  // namespace

Transformer::TimeEmbedding::TimeEmbedding(const Scope& scope, std::int64_t in, std::int64_t out,
                                          TimestepActivation between)
    : linear_1(scope / "linear_1", in, out), linear_2(scope / "linear_2", out, out), activation(between) {}

at::Tensor Transformer::TimeEmbedding::operator()(const at::Tensor& x) const {
  const at::Tensor h = linear_1(x);
  return linear_2(activation == TimestepActivation::silu ? at::silu(h) : at::gelu(h));
}

Transformer::Transformer(const Weights& weights, const TransformerConfig& config, LoadOptions options,
                         Elementwise elementwise, const LinearOptions& linear)
    : config_(config), options_(options), elementwise_(elementwise) {
  Loader loader(weights, options);
  const Scope root = loader.root();
  const std::int64_t dim = config.inner_dim();
  const Scope patch_embed = root / "patch_embed";
  patch_proj_ = load_patch_projection(patch_embed / "proj", config);
  text_proj_ = Linear(patch_embed / "text_proj", config.text_embed_dim, dim);
  if (config.use_learned_positional_embeddings) {
    const std::int64_t p = config.patch_size;
    const std::int64_t frames = (config.sample_frames - 1) / config.temporal_compression_ratio + 1;
    const std::int64_t video = frames * (config.sample_height / p) * (config.sample_width / p);
    learned_positions_ = patch_embed.tensor("pos_embedding", {1, config.max_text_seq_length + video, dim});
  }
  time_embedding_ = TimeEmbedding(root / "time_embedding", dim, config.time_embed_dim, config.timestep_activation);
  if (config.ofs_embed_dim) {
    ofs_embedding_ =
        TimeEmbedding(root / "ofs_embedding", *config.ofs_embed_dim, *config.ofs_embed_dim, config.timestep_activation);
  }
  blocks_.reserve(static_cast<std::size_t>(config.num_layers));
  if (options.blocks == BlockPlace::streamed) ring_ = std::make_unique<BlockRing>(options.device);
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    blocks_.emplace_back(root / "transformer_blocks" / i, config, elementwise, linear);
    if (ring_) ring_->add(tensors_of(blocks_.back()));
  }
  norm_final_ = LayerNorm(root / "norm_final", dim, config.norm_eps);
  norm_out_ = LayerNorm(root / "norm_out" / "norm", dim, config.norm_eps);
  norm_out_linear_ = Linear(root / "norm_out" / "linear", config.time_embed_dim, 2 * dim);
  proj_out_ = Linear(root / "proj_out", dim,
                     config.out_channels * config.patch_size * config.patch_size * patch_frames(config));
  loader.finish();
}

Conditioning Transformer::condition(const at::Tensor& text, LatentGrid grid) const {
  const std::int64_t frames = grid.frames / patch_frames(config_);
  const std::int64_t height = grid.height / config_.patch_size;
  const std::int64_t width = grid.width / config_.patch_size;
  Conditioning conditioning;
  conditioning.text = text_proj_(text.to(options_.device, options_.dtype));
  conditioning.rotary = rotary_positions(config_, frames, height, width);
  if (conditioning.rotary.cos.defined()) {
    conditioning.rotary.cos = conditioning.rotary.cos.to(options_.device);
    conditioning.rotary.sin = conditioning.rotary.sin.to(options_.device);
  }
  const std::int64_t pixel_frames = (grid.frames - 1) * config_.temporal_compression_ratio + 1;
  if (config_.use_learned_positional_embeddings) {
    if (grid.height != config_.sample_height || grid.width != config_.sample_width) {
      throw UsageError("this model has learned positions for its default size only", "leave out `width` and `height`");
    }
    // The peer falls back to the computed table when only the frame count differs.
    if (pixel_frames == config_.sample_frames) {
      conditioning.text = conditioning.text + learned_positions_.narrow(1, 0, text.size(1));
      conditioning.video_positions = learned_positions_.narrow(
          1, config_.max_text_seq_length, learned_positions_.size(1) - config_.max_text_seq_length);
      return conditioning;
    }
  }
  if (!config_.use_rotary_positional_embeddings || config_.use_learned_positional_embeddings) {
    conditioning.video_positions =
        sincos_positions(config_, frames, height, width).to(options_.device, options_.dtype).unsqueeze(0);
  }
  return conditioning;
}

at::Tensor Transformer::embed_time(const std::vector<std::int64_t>& timesteps, std::optional<double> ofs) const {
  const auto embed = [&](const TimeEmbedding& embedding, const at::Tensor& values, std::int64_t dim) {
    return embedding(sinusoid(values, dim, config_).to(options_.device, options_.dtype));
  };
  at::Tensor time = embed(time_embedding_, at::tensor(timesteps, at::TensorOptions(at::kLong)), config_.inner_dim());
  if (config_.ofs_embed_dim) {
    if (!ofs) throw Error("this transformer is conditioned on ofs; text-to-video has none");
    const at::Tensor value = at::full({1}, *ofs, at::TensorOptions(at::kFloat)).to(options_.dtype);
    time = time + embed(ofs_embedding_, value, *config_.ofs_embed_dim);
  }
  return at::silu(time);
}

at::Tensor Transformer::modulations(const std::vector<std::int64_t>& timesteps, std::optional<double> ofs) const {
  const at::Tensor time = timed("embed", [&] { return embed_time(timesteps, ofs); });
  return timed("modulation", [&] {
    std::vector<at::Tensor> parts;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (ring_) ring_->begin(i);
      parts.push_back(blocks_[i].modulation(time));
      if (ring_) ring_->end(i);
    }
    parts.push_back(norm_out_linear_(time));
    return at::cat(parts, 1);
  });
}

at::Tensor Transformer::patchify(const at::Tensor& latents) const {
  const std::int64_t p = config_.patch_size, pt = patch_frames(config_);
  const std::int64_t batch = latents.size(0), channels = latents.size(2);
  const std::int64_t frames = latents.size(1) / pt, height = latents.size(3) / p, width = latents.size(4) / p;
  // [B, F/pt, pt, C, H/p, p, W/p, p] -> tokens in (f, h, w) order, values in (c, pt, p, p) order
  const at::Tensor patches = latents.reshape({batch, frames, pt, channels, height, p, width, p})
                                 .permute({0, 1, 4, 6, 3, 2, 5, 7})
                                 .reshape({batch, frames * height * width, channels * pt * p * p});
  return patch_proj_(patches);
}

at::Tensor Transformer::unpatchify(const at::Tensor& tokens, const at::Tensor& latents) const {
  const std::int64_t p = config_.patch_size, pt = patch_frames(config_), channels = config_.out_channels;
  const std::int64_t batch = latents.size(0);
  const std::int64_t frames = latents.size(1) / pt, height = latents.size(3) / p, width = latents.size(4) / p;
  return tokens.reshape({batch, frames, height, width, channels, pt, p, p})
      .permute({0, 1, 5, 4, 2, 6, 3, 7})
      .reshape({batch, frames * pt, channels, height * p, width * p});
}

at::Tensor Transformer::operator()(const at::Tensor& latents, const Conditioning& conditioning,
                                   const StepContext& context) const {
  const std::int64_t text_tokens = conditioning.text.size(1), dim = config_.inner_dim();
  const at::Tensor modulation =
      context.modulation.defined() ? context.modulation : modulations({context.timestep}, context.ofs);
  Residual residual;
  residual.x = timed("embed", [&] {
    at::Tensor video = patchify(latents);
    if (conditioning.video_positions.defined()) video = video + conditioning.video_positions;
    return at::cat({conditioning.text, video}, 1);
  });
  std::int64_t layer = 0;
  for (const TransformerBlock& block : blocks_) {
    const at::Tensor of_block = modulation.narrow(1, layer * 12 * dim, 12 * dim);
    if (ring_) ring_->begin(static_cast<std::size_t>(layer));
    residual = block(std::move(residual), of_block, text_tokens, conditioning.rotary,
                     {.layer = layer, .attention = context.attention});
    if (ring_) ring_->end(static_cast<std::size_t>(layer));
    if (context.on_layer) context.on_layer(layer, sum_of(residual, elementwise_));
    ++layer;
  }
  const Timed until_done("output");
  const at::Tensor x = sum_of(residual, elementwise_);
  const at::Tensor normed = norm_final_(x.narrow(1, text_tokens, x.size(1) - text_tokens));
  const std::vector<at::Tensor> shift_scale =
      modulation.narrow(1, layer * 12 * dim, 2 * dim).unsqueeze(1).expand({x.size(0), -1, -1}).chunk(2, -1);
  const Modulation all = {.shift = shift_scale[0], .scale = shift_scale[1], .gate = {}};
  return unpatchify(
      proj_out_(modulated_norm(norm_out_, normed, {.text = all, .video = all, .text_tokens = 0}, elementwise_)),
      latents);
}

}  // namespace bitreel
