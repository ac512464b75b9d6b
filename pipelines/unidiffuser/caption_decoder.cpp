#include "pipelines/unidiffuser/caption_decoder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "attention/attention.h"
#include "base/error.h"

namespace bitreel {
namespace {

// GPT-2 stores its linear layers the other way round: [in, out].
Linear conv1d(const Scope& scope, std::int64_t in, std::int64_t out) {
  Linear linear;
  linear.weight = scope.tensor("weight", {in, out}).t();
  linear.bias = scope.tensor("bias", {out});
  return linear;
}

}  // namespace

PrefixEncoder::PrefixEncoder(const Weights& weights, const CaptionConfig& config, LoadOptions options) {
  if (!config.prefix_hidden_dim) return;
  Loader loader(weights, options);
  encode_prefix_ = Linear(loader.root() / "encode_prefix", config.prefix_inner_dim, *config.prefix_hidden_dim);
}

at::Tensor PrefixEncoder::operator()(const at::Tensor& states) const {
  return encode_prefix_.weight.defined() ? encode_prefix_(states) : states;
}

CaptionDecoder::Block::Block(const Scope& scope, const CaptionConfig& config) {
  ln_1 = LayerNorm(scope / "ln_1", config.n_embd, config.layer_norm_epsilon);
  c_attn = conv1d(scope / "attn" / "c_attn", config.n_embd, 3 * config.n_embd);
  attn_c_proj = conv1d(scope / "attn" / "c_proj", config.n_embd, config.n_embd);
  ln_2 = LayerNorm(scope / "ln_2", config.n_embd, config.layer_norm_epsilon);
  c_fc = conv1d(scope / "mlp" / "c_fc", config.n_embd, config.n_inner);
  mlp_c_proj = conv1d(scope / "mlp" / "c_proj", config.n_inner, config.n_embd);
}

CaptionDecoder::CaptionDecoder(const Weights& weights, const CaptionConfig& config, LoadOptions options,
                               std::string attention_backend)
    : config_(config), attention_backend_(std::move(attention_backend)) {
  Loader loader(weights, options);
  const Scope root = loader.root(), gpt = root / "transformer" / "transformer", head = root / "transformer" / "lm_head";
  if (config.prefix_hidden_dim) {
    loader.ignore("encode_prefix.");
    decode_prefix_ = Linear(root / "decode_prefix", *config.prefix_hidden_dim, config.n_embd);
  }
  // The head is tied to the embedding: files hold both names, or either.
  const bool embedding_stored = weights.has("transformer.transformer.wte.weight");
  wte_ = (embedding_stored ? gpt / "wte" : head).tensor("weight", {config.vocab_size, config.n_embd});
  if (embedding_stored) loader.ignore("transformer.lm_head.");
  wpe_ = (gpt / "wpe").tensor("weight", {config.n_positions, config.n_embd});
  for (std::int64_t i = 0; i < config.n_layer; ++i) {
    blocks_.emplace_back(gpt / "h" / i, config);
    // Causal masks that transformers once stored.
    loader.ignore(fmt::format("transformer.transformer.h.{}.attn.bias", i));
    loader.ignore(fmt::format("transformer.transformer.h.{}.attn.masked_bias", i));
  }
  ln_f_ = LayerNorm(gpt / "ln_f", config.n_embd, config.layer_norm_epsilon);
  loader.finish();
}

at::Tensor CaptionDecoder::embed_prefix(const at::Tensor& latents) const {
  return decode_prefix_.weight.defined() ? decode_prefix_(latents) : latents;
}

at::Tensor CaptionDecoder::embed_tokens(const at::Tensor& ids) const {
  return at::embedding(wte_, ids);
}

at::Tensor CaptionDecoder::attend_block(std::size_t layer, const at::Tensor& x, Past& past) const {
  const std::int64_t batch = x.size(0), tokens = x.size(1), head_dim = config_.n_embd / config_.n_head;
  const std::vector<at::Tensor> qkv =
      blocks_[layer].c_attn(x).view({batch, tokens, 3, config_.n_head, head_dim}).permute({2, 0, 3, 1, 4}).unbind(0);
  at::Tensor& keys = past.keys[layer];
  at::Tensor& values = past.values[layer];
  keys = keys.defined() ? at::cat({keys, qkv[1]}, 2) : qkv[1];
  values = values.defined() ? at::cat({values, qkv[2]}, 2) : qkv[2];
  double scale = config_.scale_attn_weights ? 1.0 / std::sqrt(static_cast<double>(head_dim)) : 1.0;
  if (config_.scale_attn_by_inverse_layer_idx) scale /= static_cast<double>(layer + 1);
  const at::Tensor attended = attend(
      qkv[0], keys, values, {.backend = attention_backend_, .scale = scale, .causality = Causality::bottom_right});
  return blocks_[layer].attn_c_proj(attended.transpose(1, 2).reshape(x.sizes()));
}

at::Tensor CaptionDecoder::logits(const at::Tensor& embeddings, Past& past) const {
  past.keys.resize(blocks_.size());
  past.values.resize(blocks_.size());
  const std::int64_t before = past.keys.front().defined() ? past.keys.front().size(2) : 0;
  at::Tensor x = embeddings + wpe_.narrow(0, before, embeddings.size(1));
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    x = x + attend_block(i, blocks_[i].ln_1(x), past);
    x = x + blocks_[i].mlp_c_proj(activate(blocks_[i].c_fc(blocks_[i].ln_2(x)), config_.activation));
  }
  return at::linear(ln_f_(x.select(1, x.size(1) - 1)), wte_);
}

std::vector<Beam> CaptionDecoder::caption(const at::Tensor& latents, const BeamOptions& options) const {
  const std::int64_t needed = latents.size(1) + options.most_tokens - 1;
  if (needed > config_.n_positions) {
    throw UsageError(fmt::format("a prefix of {} and a caption of {} tokens need {} positions, this model has {}",
                                 latents.size(1), options.most_tokens, needed, config_.n_positions),
                     "ask for a shorter caption");
  }
  Past past;
  const at::Tensor first = logits(embed_prefix(latents), past);
  const BeamStep step = [&](const at::Tensor& sources, const at::Tensor& tokens) {
    for (std::vector<at::Tensor>* kept : {&past.keys, &past.values}) {
      for (at::Tensor& tensor : *kept) tensor = tensor.index_select(0, sources);
    }
    return logits(embed_tokens(tokens).unsqueeze(1), past);
  };
  return beam_search(first, step, options);
}

}  // namespace bitreel
