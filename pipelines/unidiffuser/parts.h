// What a UniDiffuser checkpoint's components do, each loaded when it is first asked for and kept until release().
//
//   UniDiffuserParts parts(Checkpoint::open("unidiffuser-v1"), {.dtype = at::kBFloat16});
//   const at::Tensor text = parts.encode_prompt("an elephant under the sea");     // [1, 77, 64], as the U-ViT takes it
//   const std::vector<Picture> pictures = parts.decode_images(image_vae);         // one a sample
//
// Computes what diffusers' UniDiffuserPipeline computes with them. Errors: those of the loader and the tokenizers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/image/autoencoder_kl.h"
#include "pipelines/image/clip_vision.h"
#include "pipelines/model/cost.h"
#include "pipelines/model/run_options.h"
#include "pipelines/text/caption_tokenizer.h"
#include "pipelines/text/clip_text.h"
#include "pipelines/text/clip_tokenizer.h"
#include "pipelines/unidiffuser/caption_decoder.h"
#include "pipelines/unidiffuser/config.h"
#include "pipelines/unidiffuser/uvit.h"

namespace bitreel {

struct DecodedText {
  std::string text;
  bool ended = true;  // false: the decoder did not stop by itself and was cut
};

// A picture as the two image encoders see it.
struct EncodedPicture {
  at::Tensor vae_moments;  // [1, 2 C, h, w] of the posterior that latents are drawn from
  at::Tensor clip_embeds;  // [1, 1, K]
};

class UniDiffuserParts {
 public:
  // options.dtype must be there.
  UniDiffuserParts(const Checkpoint& checkpoint, const RunOptions& options);

  [[nodiscard]] const UniDiffuserConfig& config() const { return config_; }
  [[nodiscard]] at::ScalarType dtype() const { return options_.dtype.value(); }
  [[nodiscard]] const at::Device& device() const { return options_.device; }

  // Tokens at the prompt's end that the model does not read.
  [[nodiscard]] std::int64_t dropped_tokens(const std::string& prompt);
  [[nodiscard]] at::Tensor encode_prompt(const std::string& prompt);
  [[nodiscard]] EncodedPicture encode_picture(const Picture& picture);

  // CLIP's text states, or noise as wide as they are, made as narrow as text latents.
  [[nodiscard]] at::Tensor narrowed(const at::Tensor& states);
  [[nodiscard]] const UVit& uvit();

  // The VAE's own output, about -1..1.
  [[nodiscard]] at::Tensor decode_pixels(const at::Tensor& image_vae);
  [[nodiscard]] std::vector<Picture> decode_images(const at::Tensor& image_vae);
  [[nodiscard]] std::vector<DecodedText> decode_texts(const at::Tensor& text);

  void release(Phase phase);

 private:
  [[nodiscard]] LoadOptions load_options() const { return {.dtype = dtype(), .device = device()}; }
  [[nodiscard]] const ClipTokenizer& clip_tokenizer();

  Checkpoint checkpoint_;
  RunOptions options_;
  UniDiffuserConfig config_;
  std::optional<ClipTokenizer> clip_tokenizer_ = {};
  std::optional<ClipTextEncoder> text_encoder_ = {};
  std::optional<AutoencoderKl> vae_encoder_ = {}, vae_decoder_ = {};
  std::optional<ClipVisionEncoder> image_encoder_ = {};
  std::optional<PrefixEncoder> prefix_ = {};
  std::optional<UVit> uvit_ = {};
  std::optional<CaptionTokenizer> caption_tokenizer_ = {};
  std::optional<CaptionDecoder> caption_decoder_ = {};
};

}  // namespace bitreel
