// The caption decoder: text latents to text, GPT-2 continuing a prefix; and the way in, CLIP's text states to latents.
//
//   const PrefixEncoder narrow(checkpoint.weights("text_decoder"), config, {});
//   at::Tensor latents = narrow(states);                               // [B, 77, 768] -> [B, 77, 64]
//   const CaptionDecoder decoder(checkpoint.weights("text_decoder"), config, {});
//   const std::vector<Beam> captions = decoder.caption(latents.narrow(0, 0, 1), {.end_id = 50257});
//
// Keys and values of the tokens so far are kept, so each step computes one token; the peer computes all anew, and the
// same numbers but for the order of sums.
// Sources: Radford et al., GPT-2 (2019); Mokady et al., ClipCap, arXiv 2111.09734; diffusers modeling_text_decoder.py.
// Errors: those of the loader; UsageError when prefix and caption need more positions than the model has.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "pipelines/layers/modules.h"
#include "pipelines/unidiffuser/beam_search.h"
#include "pipelines/unidiffuser/caption_config.h"

namespace bitreel {

class PrefixEncoder {
 public:
  PrefixEncoder(const Weights& weights, const CaptionConfig& config, LoadOptions options);
  // Without a prefix_hidden_dim, the states as they are.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& states) const;

 private:
  Linear encode_prefix_;
};

class CaptionDecoder {
 public:
  CaptionDecoder(const Weights& weights, const CaptionConfig& config, LoadOptions options,
                 std::string attention_backend = {});

  // Keys and values [B, H, tokens, D] of every layer.
  struct Past {
    std::vector<at::Tensor> keys, values;
  };

  // latents: [1, prefix, text_dim].
  [[nodiscard]] std::vector<Beam> caption(const at::Tensor& latents, const BeamOptions& options) const;
  // The logits [B, V] after the last of `embeddings` [B, n, n_embd], which continue the past.
  [[nodiscard]] at::Tensor logits(const at::Tensor& embeddings, Past& past) const;
  [[nodiscard]] at::Tensor embed_prefix(const at::Tensor& latents) const;
  [[nodiscard]] at::Tensor embed_tokens(const at::Tensor& ids) const;

 private:
  struct Block {
    Block(const Scope& scope, const CaptionConfig& config);
    LayerNorm ln_1, ln_2;
    Linear c_attn, attn_c_proj, c_fc, mlp_c_proj;
  };

  [[nodiscard]] at::Tensor attend_block(std::size_t layer, const at::Tensor& x, Past& past) const;

  CaptionConfig config_;
  std::string attention_backend_;
  Linear decode_prefix_;
  at::Tensor wte_, wpe_;
  std::vector<Block> blocks_;
  LayerNorm ln_f_;
};

}  // namespace bitreel
