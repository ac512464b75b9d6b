#include "pipelines/unidiffuser/unidiffuser.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "pipelines/text/caption_tokenizer.h"
#include "pipelines/text/clip_tokenizer.h"
#include "pipelines/unidiffuser/caption_decoder.h"
#include "pipelines/unidiffuser/joint_denoiser.h"
#include "pipelines/unidiffuser/uvit.h"

namespace bitreel {
namespace {

at::Tensor repeated(const at::Tensor& one, std::int64_t count) {
  std::vector<std::int64_t> times(static_cast<std::size_t>(one.dim()), 1);
  times[0] = count;
  return one.repeat(times);
}

void check_step(const at::Tensor& rows, const DenoisingStep& step, at::ScalarType dtype) {
  if (at::isfinite(rows).all().item<bool>()) return;
  throw Error(fmt::format("step {} of {}: the latents are no longer finite", step.index + 1, step.count),
              dtype == at::kHalf ? "fp16 overflows on models trained in bf16; try --dtype bf16"
                                 : "the weights may be damaged; compare their checksums with the hub's");
}

void check_ids(std::int64_t tokens, std::int64_t rows, const std::string& tokenizer, const std::string& component) {
  if (tokens > rows) {
    throw Error(fmt::format("{} has {} tokens, {} has embeddings for {}", tokenizer, tokens, component, rows),
                "the folders may be of different models");
  }
}

}  // namespace

void check_settings(const JointRequest& request, const UniDiffuserConfig& config) {
  if (request.steps < 1 || request.steps > config.scheduler.num_train_timesteps) {
    throw UsageError(fmt::format("--steps {}: expected 1 to {}, the model's training timesteps", request.steps,
                                 config.scheduler.num_train_timesteps),
                     "50 is the usual number");
  }
  if (!std::isfinite(request.guidance_scale) || request.guidance_scale < 0 || request.guidance_scale > 1000) {
    throw UsageError(fmt::format("--guidance-scale {}: expected a number from 0 to 1000", request.guidance_scale),
                     "8 is the usual one; 1 turns guidance off");
  }
  constexpr std::int64_t most_samples = 64;
  if (request.count < 1 || request.count > most_samples) {
    throw UsageError(fmt::format("{} samples at once: expected 1 to {}", request.count, most_samples));
  }
}

void check(const JointRequest& request, const UniDiffuserConfig& config) {
  const std::string mode(name_of(request.mode));
  const bool takes_prompt = request.mode == UniDiffuserMode::t2i, takes_picture = request.mode == UniDiffuserMode::i2t;
  if (takes_prompt && !request.prompt) {
    throw UsageError(fmt::format("mode {} makes a picture of a prompt, and there is none", mode),
                     "give --prompt, or --mode image");
  }
  if (takes_picture && !request.picture) {
    throw UsageError(fmt::format("mode {} makes a text of a picture, and there is none", mode),
                     "give --image, or --mode text");
  }
  if (!takes_prompt && request.prompt) {
    throw UsageError(fmt::format("mode {} takes no prompt", mode), "leave out --prompt, or choose --mode t2i");
  }
  if (!takes_picture && request.picture) {
    throw UsageError(fmt::format("mode {} takes no picture", mode), "leave out --image, or choose --mode i2t");
  }
  check_settings(request, config);
}

UniDiffuser::UniDiffuser(Checkpoint checkpoint, UniDiffuserOptions options)
    : checkpoint_(std::move(checkpoint)), options_(std::move(options)), config_(read_unidiffuser_config(checkpoint_)) {}

std::vector<std::int64_t> UniDiffuser::timesteps(std::int64_t steps) const {
  return MultistepDpm(config_.scheduler, steps).timesteps();
}

at::Tensor UniDiffuser::encode_prompt(const std::string& prompt) const {
  const ClipTokenizer tokenizer = ClipTokenizer::open(checkpoint_.folder() / "clip_tokenizer");
  check_ids(tokenizer.size(), config_.text_encoder.vocab_size, "clip_tokenizer", "text_encoder");
  const ClipTextEncoder encoder(checkpoint_.weights("text_encoder"), config_.text_encoder, load_options(),
                                options_.attention_backend);
  const TokenIds tokens = tokenizer.encode(prompt, config_.text_encoder.max_position_embeddings);
  return encoder(at::tensor(tokens.ids, at::TensorOptions(at::kLong)).unsqueeze(0).to(options_.device));
}

at::Tensor UniDiffuser::encode_for_vae(const Picture& picture, const at::Generator& generator) const {
  const AutoencoderKl vae(checkpoint_.weights("vae"), config_.vae, load_options(), AutoencoderParts::encoder,
                          options_.attention_backend);
  const std::int64_t side = config_.resolution();
  const at::Tensor unit = to_tensor(resized(picture, {side, side}, Resampling::lanczos)) / 255;
  const at::Tensor pixels = (2 * unit - 1).to(options_.device, options_.dtype);
  return sampled(vae.encode(pixels, {.tiling = options_.vae_tiling}), generator) * config_.vae.scaling_factor;
}

at::Tensor UniDiffuser::encode_for_clip(const Picture& picture) const {
  const ClipVisionEncoder encoder(checkpoint_.weights("image_encoder"), config_.image_encoder, load_options(),
                                  options_.attention_backend);
  return encoder(preprocessed(picture, config_.image_processor).to(options_.device, options_.dtype)).unsqueeze(1);
}

JointTensors UniDiffuser::encode(const JointRequest& request, at::Generator& generator) const {
  const c10::InferenceMode no_gradients;
  check(request, config_);
  const std::int64_t count = request.count, side = config_.uvit.sample_size;
  // Noise is drawn on the CPU in the model's dtype, then moved: the only numbers that every machine agrees on.
  const auto noise = [&](at::IntArrayRef shape) {
    return at::randn(shape, generator, at::TensorOptions(options_.dtype)).to(options_.device);
  };
  const PrefixEncoder narrow(checkpoint_.weights("text_decoder"), config_.text_decoder, load_options());
  JointTensors start;
  // Text noise is as wide as CLIP's states and goes through the prefix, like these: so the peer has it.
  start.text = narrow(request.mode == UniDiffuserMode::t2i
                          ? repeated(encode_prompt(*request.prompt), count)
                          : noise({count, config_.uvit.num_text_tokens, config_.text_decoder.prefix_inner_dim}));
  if (request.mode == UniDiffuserMode::i2t) {
    start.image_vae = repeated(encode_for_vae(*request.picture, generator), count);
    start.image_clip = repeated(encode_for_clip(*request.picture), count);
  } else {
    start.image_vae = noise({count, config_.vae.latent_channels, side, side});
    start.image_clip = noise({count, 1, config_.uvit.clip_img_dim});
  }
  return start;
}

JointTensors UniDiffuser::denoise(const JointRequest& request, const JointTensors& start, at::Generator& generator,
                                  const JointDenoising& options) const {
  const c10::InferenceMode no_gradients;
  check_settings(request, config_);
  const UVit uvit(checkpoint_.weights("unet"), config_.uvit, load_options());
  MultistepDpm scheduler(config_.scheduler, request.steps);
  const JointDenoiser denoiser(uvit, {.mode = request.mode,
                                      .guidance_scale = request.guidance_scale,
                                      .pure_noise_timestep = config_.scheduler.num_train_timesteps});
  at::Tensor rows = flat(request.mode, start);
  const std::vector<std::int64_t>& timesteps = scheduler.timesteps();
  const auto count = static_cast<std::int64_t>(timesteps.size());
  std::int64_t first = 0;
  if (options.from) {
    if (options.from->rows.sizes() != rows.sizes() || options.from->steps_done < 1 ||
        options.from->steps_done >= count) {
      throw Error("the state is of another request", "go on with the model and the settings that began");
    }
    first = options.from->steps_done;
    rows = options.from->rows.to(options_.device);
    scheduler.restore(options.from->scheduler);
    generator.set_state(options.from->generator);
  }
  for (std::int64_t i = first; i < count; ++i) {
    const DenoisingStep step{.index = i, .count = count, .timestep = timesteps[static_cast<std::size_t>(i)]};
    const LayerAttention attention =
        options.attention_of_step ? options.attention_of_step(step) : full_attention(options_.attention_backend);
    const at::Tensor prediction =
        denoiser.predict(shaped(request.mode, rows, start), step.timestep, generator, attention);
    rows = scheduler.step(prediction, static_cast<std::size_t>(i), rows, generator);
    check_step(rows, step, options_.dtype);
    if (!options.on_step) continue;
    const auto state = [&]() -> JointState {
      return {.steps_done = i + 1, .rows = rows, .scheduler = scheduler.state(), .generator = generator.get_state()};
    };
    options.on_step({.step = step, .latents = shaped(request.mode, rows, start), .state = state});
  }
  return shaped(request.mode, rows, start);
}

at::Tensor UniDiffuser::decode_pixels(const at::Tensor& image_vae) const {
  const c10::InferenceMode no_gradients;
  const AutoencoderKl vae(checkpoint_.weights("vae"), config_.vae, load_options(), AutoencoderParts::decoder,
                          options_.attention_backend);
  const at::Tensor latents = image_vae.to(options_.device, options_.dtype) / config_.vae.scaling_factor;
  return vae.decode(latents, {.tiling = options_.vae_tiling});
}

std::vector<Picture> UniDiffuser::decode_images(const at::Tensor& image_vae) const {
  const c10::InferenceMode no_gradients;
  std::vector<Picture> pictures;
  for (const at::Tensor& pixels : decode_pixels(image_vae).unbind(0))
    pictures.push_back(to_picture(pixels * 0.5 + 0.5));
  return pictures;
}

std::vector<Caption> UniDiffuser::decode_texts(const at::Tensor& text) const {
  const c10::InferenceMode no_gradients;
  const CaptionTokenizer tokenizer = CaptionTokenizer::open(checkpoint_.folder() / "text_tokenizer");
  check_ids(tokenizer.end_id() + 1, config_.text_decoder.vocab_size, "text_tokenizer", "text_decoder");
  const CaptionDecoder decoder(checkpoint_.weights("text_decoder"), config_.text_decoder, load_options(),
                               options_.attention_backend);
  std::vector<Caption> captions;
  for (const at::Tensor& latents : text.to(options_.device, options_.dtype).split(1)) {
    const Beam best = decoder.caption(latents, {.end_id = tokenizer.end_id()}).front();
    captions.push_back({.text = tokenizer.decode(best.tokens), .ended = best.ended});
  }
  return captions;
}

}  // namespace bitreel
