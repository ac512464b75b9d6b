#include "pipelines/unidiffuser/parts.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "base/error.h"

namespace bitreel {
namespace {

void check_ids(std::int64_t tokens, std::int64_t rows, const std::string& tokenizer, const std::string& component) {
  if (tokens > rows) {
    throw Error(fmt::format("{} has {} tokens, {} has embeddings for {}", tokenizer, tokens, component, rows),
                "the folders may be of different models");
  }
}

}  // namespace

UniDiffuserParts::UniDiffuserParts(const Checkpoint& checkpoint, const RunOptions& options)
    : checkpoint_(checkpoint), options_(options), config_(read_unidiffuser_config(checkpoint)) {}

const ClipTokenizer& UniDiffuserParts::clip_tokenizer() {
  if (!clip_tokenizer_) {
    clip_tokenizer_ = ClipTokenizer::open(checkpoint_.folder() / "clip_tokenizer");
    check_ids(clip_tokenizer_->size(), config_.text_encoder.vocab_size, "clip_tokenizer", "text_encoder");
  }
  return *clip_tokenizer_;
}

std::int64_t UniDiffuserParts::dropped_tokens(const std::string& prompt) {
  return clip_tokenizer().encode(prompt, config_.text_encoder.max_position_embeddings).dropped;
}

at::Tensor UniDiffuserParts::encode_prompt(const std::string& prompt) {
  const TokenIds tokens = clip_tokenizer().encode(prompt, config_.text_encoder.max_position_embeddings);
  if (!text_encoder_) {
    text_encoder_.emplace(checkpoint_.weights("text_encoder"), config_.text_encoder, load_options(),
                          options_.attention_backend);
  }
  const at::Tensor ids = at::tensor(tokens.ids, at::TensorOptions(at::kLong)).unsqueeze(0).to(device());
  return narrowed((*text_encoder_)(ids));
}

EncodedPicture UniDiffuserParts::encode_picture(const Picture& picture) {
  if (!vae_encoder_) {
    vae_encoder_.emplace(checkpoint_.weights("vae"), config_.vae, load_options(), AutoencoderParts::encoder,
                         options_.attention_backend);
  }
  if (!image_encoder_) {
    image_encoder_.emplace(checkpoint_.weights("image_encoder"), config_.image_encoder, load_options(),
                           options_.attention_backend);
  }
  const std::int64_t side = config_.resolution();
  const at::Tensor unit = to_tensor(resized(picture, {side, side}, Resampling::lanczos)) / 255;
  const at::Tensor pixels = (2 * unit - 1).to(device(), dtype());
  const at::Tensor seen = preprocessed(picture, config_.image_processor).to(device(), dtype());
  return {.vae_moments = vae_encoder_->encode(pixels, {.tiling = options_.vae_tiling == Tiling::on}),
          .clip_embeds = (*image_encoder_)(seen).unsqueeze(1)};
}

at::Tensor UniDiffuserParts::narrowed(const at::Tensor& states) {
  if (!prefix_) prefix_.emplace(checkpoint_.weights("text_decoder"), config_.text_decoder, load_options());
  return (*prefix_)(states);
}

const UVit& UniDiffuserParts::uvit() {
  if (!uvit_) uvit_.emplace(checkpoint_.weights("unet"), config_.uvit, load_options());
  return *uvit_;
}

at::Tensor UniDiffuserParts::decode_pixels(const at::Tensor& image_vae) {
  if (!vae_decoder_) {
    vae_decoder_.emplace(checkpoint_.weights("vae"), config_.vae, load_options(), AutoencoderParts::decoder,
                         options_.attention_backend);
  }
  const at::Tensor latents = image_vae.to(device(), dtype()) / config_.vae.scaling_factor;
  return vae_decoder_->decode(latents, {.tiling = options_.vae_tiling == Tiling::on});
}

std::vector<Picture> UniDiffuserParts::decode_images(const at::Tensor& image_vae) {
  std::vector<Picture> pictures;
  for (const at::Tensor& pixels : decode_pixels(image_vae).unbind(0))
    pictures.push_back(to_picture(pixels * 0.5 + 0.5));
  return pictures;
}

std::vector<DecodedText> UniDiffuserParts::decode_texts(const at::Tensor& text) {
  if (!caption_tokenizer_) {
    caption_tokenizer_ = CaptionTokenizer::open(checkpoint_.folder() / "text_tokenizer");
    check_ids(caption_tokenizer_->end_id() + 1, config_.text_decoder.vocab_size, "text_tokenizer", "text_decoder");
  }
  if (!caption_decoder_) {
    caption_decoder_.emplace(checkpoint_.weights("text_decoder"), config_.text_decoder, load_options(),
                             options_.attention_backend);
  }
  std::vector<DecodedText> captions;
  for (const at::Tensor& latents : text.to(device(), dtype()).split(1)) {
    const Beam best = caption_decoder_->caption(latents, {.end_id = caption_tokenizer_->end_id()}).front();
    captions.push_back({.text = caption_tokenizer_->decode(best.tokens), .ended = best.ended});
  }
  return captions;
}

void UniDiffuserParts::release(Phase phase) {
  switch (phase) {
    case Phase::encode:
      text_encoder_.reset();
      vae_encoder_.reset();
      image_encoder_.reset();
      return;
    case Phase::denoise:
      uvit_.reset();
      prefix_.reset();
      return;
    case Phase::decode:
      vae_decoder_.reset();
      caption_decoder_.reset();
      return;
  }
}

}  // namespace bitreel
