// The T5 text encoder (v1.1 and original): token ids to one vector per token.
//
//   const T5Encoder encoder(checkpoint.weights("text_encoder"), config, {.dtype = at::kFloat});
//   at::Tensor embeddings = encoder(ids);       // [B, N] int64 -> [B, N, d_model]
//
// No attention mask: padded positions are attended like any other, as CogVideoX was trained.
// Source: Raffel et al., arXiv 1910.10683; transformers modeling_t5.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "pipelines/layers/block_ring.h"
#include "pipelines/layers/modules.h"

namespace bitreel {

enum class T5Activation { relu, gelu_tanh, gelu_erf, silu };

// Defaults are transformers' T5Config.
struct T5Config {
  std::int64_t vocab_size = 32128;
  std::int64_t d_model = 512;
  std::int64_t d_kv = 64;
  std::int64_t d_ff = 2048;
  std::int64_t num_layers = 6;
  std::int64_t num_heads = 8;
  std::int64_t relative_attention_num_buckets = 32;
  std::int64_t relative_attention_max_distance = 128;
  double layer_norm_epsilon = 1e-6;
  T5Activation activation = T5Activation::relu;
  bool gated = false;
};

T5Config read_t5_config(const nlohmann::json& config);

class T5Encoder {
 public:
  // In fp16, `wo` stays in fp32 and with it the residual stream, as transformers loads it.
  // options.blocks streamed: its blocks pass over the device, and one thread calls it at a time.
  // attention_backend: by name (attention/registry.h); the best for full precision when empty.
  T5Encoder(const Weights& weights, const T5Config& config, LoadOptions options, std::string attention_backend = {});
  at::Tensor operator()(const at::Tensor& ids) const;

 private:
  struct RmsNorm {
    RmsNorm() = default;
    RmsNorm(const Scope& scope, const T5Config& config);
    at::Tensor operator()(const at::Tensor& x) const;
    at::Tensor weight;
    double eps = 1e-6;
  };
  struct Block {
    Block(const Scope& scope, const T5Config& config);
    void list_tensors(TensorList& list);
    RmsNorm attention_norm, feed_forward_norm;
    Linear q, k, v, o;
    Linear wi, wi_gate, wo;  // wi_gate is empty unless gated
  };

  [[nodiscard]] at::Tensor position_bias(std::int64_t tokens) const;
  [[nodiscard]] at::Tensor attend_block(const Block& block, const at::Tensor& x, const at::Tensor& bias) const;
  [[nodiscard]] at::Tensor feed_forward(const Block& block, const at::Tensor& x) const;
  [[nodiscard]] at::Tensor activate(const at::Tensor& x) const;

  T5Config config_;
  std::string attention_backend_;
  at::Tensor embedding_;      // [vocab, d_model]
  at::Tensor relative_bias_;  // [buckets, heads], block 0's, shared by all
  std::vector<Block> blocks_;
  std::unique_ptr<BlockRing> ring_;  // of blocks that are streamed
  RmsNorm final_norm_;
};

}  // namespace bitreel
