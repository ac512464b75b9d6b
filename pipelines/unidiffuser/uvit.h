// The U-ViT of UniDiffuser: a noisy picture and a noisy text, each at a timestep of its own, in; the noise in both out.
//
//   const UVit uvit(checkpoint.weights("unet"), config, {.dtype = at::kBFloat16});
//   const UVitInput input{.image_vae = z, .image_clip = c, .text = s, .image_timesteps = t, .text_timesteps = zero};
//   const UVitOutput noise = uvit(input, {});
//
// image_vae [B, C, S, S], image_clip [B, 1, K], text [B, T, d]; timesteps [B] int64, 0 for clean, 1000 for pure noise:
// so one model knows the marginals, the conditionals and the joint distribution. Tokens: image timestep, text timestep,
// data type (v1), text, CLIP's image, patches; a transformer with long skips. Sources: Bao et al., UniDiffuser, arXiv
// 2303.06555, and U-ViT, arXiv 2209.12152; diffusers modeling_uvit.py. Errors: those of the loader; UsageError for
// latents of another size than the position table's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "pipelines/layers/modules.h"
#include "pipelines/model/layer_attention.h"
#include "pipelines/unidiffuser/uvit_config.h"

namespace bitreel {

struct UVitInput {
  at::Tensor image_vae, image_clip, text;
  at::Tensor image_timesteps, text_timesteps;
};

struct UVitOutput {
  at::Tensor image_vae, image_clip, text;
};

// What v1 was told a sample's origin is: web data that is public (0), or not (1), which the peer takes by default.
inline constexpr std::int64_t default_data_type = 1;

struct UVitContext {
  LayerAttention attention = full_attention();
  std::int64_t data_type = default_data_type;
  // Called with the tokens [B, N, D], entering (layer -1) and after every layer; for tests.
  std::function<void(std::int64_t layer, const at::Tensor& tokens)> on_layer = {};
};

class UVit {
 public:
  UVit(const Weights& weights, const UVitConfig& config, LoadOptions options);

  [[nodiscard]] UVitOutput operator()(const UVitInput& input, const UVitContext& context) const;

 private:
  using Attention = std::function<at::Tensor(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v)>;

  struct Block {
    Block(const Scope& scope, const UVitConfig& config);
    at::Tensor operator()(const at::Tensor& x, const UVitConfig& config, const Attention& attention) const;
    LayerNorm norm1, norm3;
    Linear to_qkv, to_out, ff_in, ff_out;

   private:
    [[nodiscard]] at::Tensor attend(const at::Tensor& x, const UVitConfig& config, const Attention& attention) const;
    [[nodiscard]] at::Tensor feed_forward(const at::Tensor& x, UVitActivation activation) const;
  };
  // Joins what comes along the long way with what comes by the skip.
  struct Skip {
    Skip(const Scope& scope, std::int64_t dim);
    at::Tensor operator()(const at::Tensor& x, const at::Tensor& skipped) const;
    Linear skip_linear;
    LayerNorm norm;
  };
  struct TimestepEmbedding {
    Linear linear_1, linear_2;
  };

  [[nodiscard]] at::Tensor time_token(const at::Tensor& timesteps,
                                      const std::optional<TimestepEmbedding>& embedding) const;
  [[nodiscard]] at::Tensor embed(const UVitInput& input, std::int64_t data_type) const;
  [[nodiscard]] at::Tensor unpatchify(const at::Tensor& patches) const;

  UVitConfig config_;
  LoadOptions options_;
  at::Tensor patch_weight_, patch_bias_;  // a convolution's, [D, C, p, p]
  Linear clip_img_in_, text_in_;
  std::optional<TimestepEmbedding> timestep_img_embed_, timestep_text_embed_;
  at::Tensor data_type_embedding_;  // [2, D], v1 only
  at::Tensor positions_;            // [1, tokens, D]
  std::vector<Block> blocks_;       // in, mid, out
  std::vector<Skip> skips_;
  LayerNorm norm_out_;
  Linear vae_img_out_, clip_img_out_, text_out_;
};

}  // namespace bitreel
