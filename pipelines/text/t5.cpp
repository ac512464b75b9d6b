#include "pipelines/text/t5.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "attention/attention.h"
#include "base/error.h"
#include "base/json_fields.h"

namespace bitreel {
namespace {

// Distance to bucket: half of the buckets for each sign; of these, half exact, half logarithmic. Evaluated in fp32 with
// the peer's operations in its order, so that bucket borders agree.
std::int64_t bucket_of(std::int64_t relative, const T5Config& config) {
  const std::int64_t per_sign = config.relative_attention_num_buckets / 2;
  const std::int64_t exact = per_sign / 2;
  const std::int64_t sign_offset = relative > 0 ? per_sign : 0;
  const std::int64_t distance = std::abs(relative);
  if (distance < exact) return sign_offset + distance;
  const double span =
      std::log(static_cast<double>(config.relative_attention_max_distance) / static_cast<double>(exact));
  const float logarithm = std::log(static_cast<float>(distance) / static_cast<float>(exact));
  const float position = logarithm / static_cast<float>(span) * static_cast<float>(per_sign - exact);
  return sign_offset + std::min(exact + static_cast<std::int64_t>(position), per_sign - 1);
}

// fp16 residuals that overflowed are pulled back just inside the range, as transformers does.
at::Tensor clamp_half(const at::Tensor& x) {
  if (x.scalar_type() != at::kHalf) return x;
  constexpr double most = 65504;
  const double limit = at::isinf(x).any().item<bool>() ? most - 1000 : most;
  return at::clamp(x, -limit, limit);
}

}  // namespace

T5Config read_t5_config(const nlohmann::json& json) {
  const JsonFields fields(json, "text_encoder/config.json");
  T5Config config;
  config.vocab_size = fields.integer("vocab_size", config.vocab_size, {3, 1 << 24});
  config.d_model = fields.integer("d_model", config.d_model, {1, 65536});
  config.d_kv = fields.integer("d_kv", config.d_kv, {1, 1024});
  config.d_ff = fields.integer("d_ff", config.d_ff, {1, 1 << 18});
  config.num_layers = fields.integer("num_layers", config.num_layers, {1, 512});
  config.num_heads = fields.integer("num_heads", config.num_heads, {1, 1024});
  config.relative_attention_num_buckets =
      fields.integer("relative_attention_num_buckets", config.relative_attention_num_buckets, {4, 4096});
  // Beyond the buckets of exact distances, a quarter of them all.
  config.relative_attention_max_distance =
      fields.integer("relative_attention_max_distance", config.relative_attention_max_distance,
                     {config.relative_attention_num_buckets / 4 + 1, 1 << 20});
  config.layer_norm_epsilon = fields.real("layer_norm_epsilon", config.layer_norm_epsilon, {0, 1});
  const std::vector<std::string> projections = {"relu",       "gelu",       "gelu_new",       "silu",
                                                "gated-relu", "gated-gelu", "gated-gelu_new", "gated-silu"};
  const std::size_t projection = fields.choice("feed_forward_proj", "relu", projections);
  config.gated = projection >= 4;
  constexpr T5Activation activations[] = {T5Activation::relu, T5Activation::gelu_erf, T5Activation::gelu_tanh,
                                          T5Activation::silu};
  config.activation = activations[projection % 4];
  // transformers reads "gated-gelu" as the tanh approximation.
  if (projections[projection] == "gated-gelu") config.activation = T5Activation::gelu_tanh;
  return config;
}

T5Encoder::RmsNorm::RmsNorm(const Scope& scope, const T5Config& config)
    : weight(scope.tensor("weight", {config.d_model})), eps(config.layer_norm_epsilon) {}

at::Tensor T5Encoder::RmsNorm::operator()(const at::Tensor& x) const {
  const at::Tensor variance = x.to(at::kFloat).pow(2).mean(-1, /*keepdim=*/true);
  at::Tensor normed = x * at::rsqrt(variance + eps);
  if (weight.scalar_type() != at::kFloat) normed = normed.to(weight.scalar_type());
  return weight * normed;
}

T5Encoder::Block::Block(const Scope& scope, const T5Config& config) {
  const std::int64_t inner = config.num_heads * config.d_kv;
  const Scope attention = scope / "layer" / 0;
  const Scope projections = attention / "SelfAttention";
  q = Linear(projections / "q", config.d_model, inner, Bias::none);
  k = Linear(projections / "k", config.d_model, inner, Bias::none);
  v = Linear(projections / "v", config.d_model, inner, Bias::none);
  o = Linear(projections / "o", inner, config.d_model, Bias::none);
  attention_norm = RmsNorm(attention / "layer_norm", config);

  const Scope feed_forward = scope / "layer" / 1;
  const Scope dense = feed_forward / "DenseReluDense";
  const auto wo_dtype = scope.loader().options().dtype == at::kHalf ? at::kFloat : scope.loader().options().dtype;
  if (config.gated) {
    wi_gate = Linear(dense / "wi_0", config.d_model, config.d_ff, Bias::none);
    wi = Linear(dense / "wi_1", config.d_model, config.d_ff, Bias::none);
  } else {
    wi = Linear(dense / "wi", config.d_model, config.d_ff, Bias::none);
  }
  wo = Linear(dense / "wo", config.d_ff, config.d_model, Bias::none, wo_dtype);
  feed_forward_norm = RmsNorm(feed_forward / "layer_norm", config);
}

void T5Encoder::Block::list_tensors(TensorList& list) {
  for (Linear* linear : {&q, &k, &v, &o, &wi, &wi_gate, &wo}) linear->list_tensors(list);
  list.insert(list.end(), {&attention_norm.weight, &feed_forward_norm.weight});
}

T5Encoder::T5Encoder(const Weights& weights, const T5Config& config, LoadOptions options, std::string attention_backend)
    : config_(config), attention_backend_(std::move(attention_backend)) {
  Loader loader(weights, options);
  const Scope root = loader.root();
  embedding_ = (root / "shared").tensor("weight", {config.vocab_size, config.d_model});
  loader.ignore("encoder.embed_tokens.weight");  // a tied copy of shared.weight that some tools store
  const Scope encoder = root / "encoder";
  relative_bias_ = (encoder / "block" / 0 / "layer" / 0 / "SelfAttention" / "relative_attention_bias")
                       .tensor("weight", {config.relative_attention_num_buckets, config.num_heads});
  if (options.blocks == BlockPlace::streamed) ring_ = std::make_unique<BlockRing>(options.device);
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    blocks_.emplace_back(encoder / "block" / i, config);
    if (ring_) ring_->add(tensors_of(blocks_.back()));
  }
  final_norm_ = RmsNorm(encoder / "final_layer_norm", config);
  loader.finish();
}

at::Tensor T5Encoder::position_bias(std::int64_t tokens) const {
  at::Tensor buckets = at::empty({tokens, tokens}, at::TensorOptions(at::kLong));
  auto table = buckets.accessor<std::int64_t, 2>();
  for (std::int64_t query = 0; query < tokens; ++query) {
    for (std::int64_t key = 0; key < tokens; ++key) table[query][key] = bucket_of(key - query, config_);
  }
  return at::embedding(relative_bias_, buckets.to(relative_bias_.device())).permute({2, 0, 1}).unsqueeze(0);
}

at::Tensor T5Encoder::attend_block(const Block& block, const at::Tensor& x, const at::Tensor& bias) const {
  const auto heads = [&](const at::Tensor& projected) {
    return projected.view({x.size(0), x.size(1), config_.num_heads, config_.d_kv}).transpose(1, 2);
  };
  const at::Tensor attended = attend(heads(block.q(x)), heads(block.k(x)), heads(block.v(x)),
                                     {.backend = attention_backend_, .scale = 1.0, .bias = bias});
  return block.o(attended.transpose(1, 2).reshape({x.size(0), x.size(1), config_.num_heads * config_.d_kv}));
}

at::Tensor T5Encoder::activate(const at::Tensor& x) const {
  switch (config_.activation) {
    case T5Activation::relu:
      return at::relu(x);
    case T5Activation::gelu_erf:
      return at::gelu(x);
    case T5Activation::gelu_tanh: {
      // transformers' gelu_new spells the formula out, so its half-precision roundings happen between the operations.
      const at::Tensor inner = std::sqrt(2.0 / M_PI) * (x + 0.044715 * at::pow(x, 3.0));
      return 0.5 * x * (1.0 + at::tanh(inner));
    }
    case T5Activation::silu:
      return at::silu(x);
  }
  throw Error("T5: unknown activation");
}

at::Tensor T5Encoder::feed_forward(const Block& block, const at::Tensor& x) const {
  const at::Tensor hidden = config_.gated ? activate(block.wi_gate(x)) * block.wi(x) : activate(block.wi(x));
  return block.wo(hidden.to(block.wo.weight.scalar_type()));
}

at::Tensor T5Encoder::operator()(const at::Tensor& ids) const {
  at::Tensor x = at::embedding(embedding_, ids);
  // LibTorch's SDPA wants the bias in the queries' dtype.
  const at::Tensor bias = position_bias(ids.size(1)).to(embedding_.scalar_type());
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    if (ring_) ring_->begin(i);
    x = clamp_half(x + attend_block(block, block.attention_norm(x), bias));
    x = clamp_half(x + feed_forward(block, block.feed_forward_norm(x)));
    if (ring_) ring_->end(i);
  }
  return final_norm_(x);
}

}  // namespace bitreel
