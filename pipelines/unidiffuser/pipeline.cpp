#include "pipelines/unidiffuser/pipeline.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "pipelines/unidiffuser/cost.h"
#include "pipelines/unidiffuser/request.h"
#include "pipelines/unidiffuser/stage.h"
#include "schedulers/noise/multistep_dpm.h"

namespace bitreel {
namespace {

RunOptions with_dtype(RunOptions options, const Checkpoint& checkpoint) {
  if (!options.dtype) options.dtype = default_dtype(checkpoint.weights("unet"), options.device);
  return options;
}

PipelineTraits traits_of(const UniDiffuserConfig& config) {
  return {.modes = unidiffuser_modes(),
          .components = {{.name = "clip_tokenizer"},
                         {.name = "text_encoder", .weights = {Phase::encode}},
                         {.name = "clip_image_processor"},
                         {.name = "image_encoder", .weights = {Phase::encode}},
                         {.name = "unet", .weights = {Phase::denoise}},
                         {.name = "scheduler"},
                         {.name = "vae", .weights = {Phase::encode, Phase::decode}},
                         {.name = "text_decoder", .weights = {Phase::encode, Phase::denoise, Phase::decode}},
                         {.name = "text_tokenizer"}},
          .denoiser = "unet",
          .layers = config.uvit.layers(),
          .schedulers = {SchedulerKind::dpm_multistep},
          // The peer takes a negative prompt, encodes it and ignores it.
          .not_settings = {"negative-prompt", "num-frames", "fps", "dynamic-cfg", "codec", "crf", "linear",
                           "linear-path", "vae-layout", "offload", "weights", "cuda-graph"}};
}

// Samples of a stage: a variation's first half makes one, which the second goes on from.
std::int64_t count_of(const Request& request, std::size_t stage) {
  return stage + 1 == stages_of(request.mode).size() ? request.count : 1;
}

// What a mode's tensor is to it: made, or depended on.
enum class TensorRole { latents, condition };

LatentShapes shapes_of(UniDiffuserMode mode, std::int64_t count, const UniDiffuserConfig& config, TensorRole role) {
  const std::int64_t side = config.uvit.sample_size;
  const bool made = role == TensorRole::latents;
  const std::string suffix = made ? "latents" : "condition";
  LatentShapes shapes;
  if (makes_image(mode) == made) {
    shapes["image_vae_" + suffix] = {count, config.vae.latent_channels, side, side};
    shapes["image_clip_" + suffix] = {count, 1, config.uvit.clip_img_dim};
  }
  if (makes_text(mode) == made) shapes["text_" + suffix] = {count, config.uvit.num_text_tokens, config.uvit.text_dim};
  return shapes;
}

Frame frame_of(const Picture& picture) {
  return {
      .rgb = picture.rgb.data(), .width = static_cast<int>(picture.width), .height = static_cast<int>(picture.height)};
}

void remark_on(const DecodedText& caption, const std::function<void(const std::string&)>& on_remark) {
  if (!caption.ended && on_remark)
    on_remark(fmt::format("the caption did not stop by itself: cut after {} tokens", BeamOptions{}.most_tokens));
}

}  // namespace

UniDiffuser::UniDiffuser(const Checkpoint& checkpoint, RunOptions options)
    : Pipeline(checkpoint, with_dtype(std::move(options), checkpoint), traits_of(read_unidiffuser_config(checkpoint))),
      parts_(this->checkpoint(), this->options()) {
  if (this->options().vae_tiling == Tiling::automatic)
    throw UsageError("`vae_tiling` auto is for videos; pictures are decoded in tiles or not", "say true or false");
}

Request UniDiffuser::default_request() const {
  return bitreel::default_request(config());
}

Request UniDiffuser::request_of(const NamedTensors& latents) const {
  const auto picture = latents.find("image_vae_latents"), text = latents.find("text_latents");
  const bool has_picture = picture != latents.end(), has_text = text != latents.end();
  if (!has_picture && !has_text)
    throw Error("there is no tensor image_vae_latents or text_latents, which this model takes");
  Request request = default_request();
  request.mode = name_of(!has_text      ? UniDiffuserMode::image
                         : !has_picture ? UniDiffuserMode::text
                                        : UniDiffuserMode::joint);
  const at::Tensor& samples = (has_picture ? picture : text)->second;
  request.count = samples.dim() > 0 ? samples.size(0) : 1;
  return request;
}

void UniDiffuser::check(const Request& request) const {
  bitreel::check(request, config());
}

std::vector<std::string> UniDiffuser::remarks(const Request& request) const {
  std::vector<std::string> remarks;
  if (const std::int64_t dropped = parts_.dropped_tokens(request.prompt); dropped > 0) {
    remarks.push_back(fmt::format("`prompt` is {} tokens longer than the {} that the model reads: its end is ignored",
                                  dropped, config().text_encoder.max_position_embeddings));
  }
  if (dtype() == at::kHalf && stored_dtype(checkpoint().weights("unet")) == at::kBFloat16) {
    remarks.emplace_back(
        "fp16 with weights stored as bf16: values beyond 65504 overflow; `dtype` bf16 keeps their range");
  }
  return remarks;
}

std::vector<std::int64_t> UniDiffuser::timesteps(const Request& request) const {
  return MultistepDpm(config().scheduler, request.steps).timesteps();
}

LatentShapes UniDiffuser::latent_shapes(const Request& request) const {
  LatentShapes shapes;
  const std::span<const UniDiffuserMode> stages = stages_of(request.mode);
  for (std::size_t stage = 0; stage < stages.size(); ++stage)
    shapes.merge(shapes_of(stages[stage], count_of(request, stage), config(), TensorRole::latents));
  return shapes;
}

Cost UniDiffuser::cost(const Request& request) const {
  return cost_of(request, config(), options());
}

Elementwise UniDiffuser::elementwise() const {
  return Elementwise::composed;
}

NamedTensors UniDiffuser::encode(const Request& request) {
  const c10::InferenceMode no_gradients;
  check(request);
  switch (stages_of(request.mode).front()) {
    case UniDiffuserMode::t2i:
      return {{"text_embeds", parts_.encode_prompt(request.prompt)}};
    case UniDiffuserMode::i2t: {
      if (!request.picture) throw UsageError(fmt::format("mode {} takes a picture, and there is none", request.mode));
      const EncodedPicture picture = parts_.encode_picture(request.picture.value());
      return {{"image_vae_moments", picture.vae_moments}, {"image_clip_embeds", picture.clip_embeds}};
    }
    default:
      return {};
  }
}

// What a variation's second half takes, of what its first half made.
NamedTensors UniDiffuser::encoded_result(UniDiffuserMode stage, const NamedTensors& latents,
                                         const DenoiseOptions& options) {
  NamedTensors encoded;
  if (makes_text(stage)) {
    const DecodedText caption = parts_.decode_texts(latents.at("text_latents")).front();
    remark_on(caption, options.on_remark);
    if (options.on_remark) options.on_remark(fmt::format("the picture was read as \"{}\"", caption.text));
    encoded = {{"text_embeds", parts_.encode_prompt(caption.text)}};
  } else {
    const Picture picture = parts_.decode_images(latents.at("image_vae_latents")).front();
    const EncodedPicture seen = parts_.encode_picture(picture);
    encoded = {{"image_vae_moments", seen.vae_moments}, {"image_clip_embeds", seen.clip_embeds}};
  }
  release(Phase::decode);
  release(Phase::encode);
  return encoded;
}

NamedTensors UniDiffuser::denoise(const Request& request, const NamedTensors& embeddings,
                                  const DenoiseOptions& denoising) {
  const c10::InferenceMode no_gradients;
  check(request);
  const std::span<const UniDiffuserMode> stages = stages_of(request.mode);
  const auto steps = static_cast<std::int64_t>(timesteps(request).size());
  const std::int64_t all_steps = steps * static_cast<std::int64_t>(stages.size());
  at::Generator generator = at::detail::createCPUGenerator(request.seed);
  NamedTensors encoded = embeddings, done;
  std::size_t first = 0;
  std::optional<StageProgress> from;
  if (const auto& kept = denoising.from) {
    first = static_cast<std::size_t>(
        std::clamp<std::int64_t>((kept->steps_done - 1) / steps, 0, static_cast<std::int64_t>(stages.size()) - 1));
    LatentShapes shapes;
    for (std::size_t stage = 0; stage <= first; ++stage)
      shapes.merge(shapes_of(stages[stage], count_of(request, stage), config(), TensorRole::latents));
    shapes.merge(shapes_of(stages[first], count_of(request, first), config(), TensorRole::condition));
    check_state(*kept, shapes, all_steps);
    generator.set_state(kept->generator);
    const auto here = [&](NamedTensors tensors) {
      for (auto& [name, tensor] : tensors) tensor = tensor.to(options().device);
      return tensors;
    };
    const NamedTensors tensors = here(kept->latents);
    from = {.steps_done = kept->steps_done - static_cast<std::int64_t>(first) * steps,
            .tensors = joint_of(stages[first], tensors),
            .scheduler = here(kept->scheduler)};
    for (std::size_t stage = 0; stage < first; ++stage) {
      for (const auto& [name, shape] : shapes_of(stages[stage], 1, config(), TensorRole::latents))
        done.emplace(name, tensors.at(name));
    }
  }

  for (std::size_t i = first; i < stages.size(); ++i) {
    const std::int64_t before = static_cast<std::int64_t>(i) * steps;
    const auto of_all = [&](DenoisingStep step) {
      step.index += before;
      step.count = all_steps;
      return step;
    };
    if (i > first) encoded = encoded_result(stages[i - 1], done, denoising);
    const JointTensors start =
        from ? from->tensors : start_of(stages[i], encoded, count_of(request, i), parts_, generator);
    const auto on_step = [&](const DenoisingStep& here, const StageProgress& progress) {
      const DenoisingStep step = of_all(here);
      NamedTensors latents = latents_of(stages[i], progress.tensors);
      check_finite(latents, step);
      latents.insert(done.begin(), done.end());
      const auto state = [&]() -> DenoisingState {
        NamedTensors all = latents;
        all.merge(conditions_of(stages[i], progress.tensors));
        return {.steps_done = step.index + 1,
                .latents = std::move(all),
                .scheduler = progress.scheduler,
                .generator = generator.get_state()};
      };
      if (denoising.on_step)
        denoising.on_step({.step = step, .guidance_scale = request.guidance_scale, .latents = latents, .state = state});
    };
    const JointTensors final = denoise_stage(
        {.mode = stages[i], .steps = request.steps, .guidance_scale = request.guidance_scale}, start, parts_, generator,
        {.attention =
             [&](const DenoisingStep& step) {
               return denoising.attention_of_step ? denoising.attention_of_step(of_all(step))
                                                  : full_attention(options().attention_backend);
             },
         .on_step = on_step,
         .from = std::exchange(from, std::nullopt)});
    done.merge(latents_of(stages[i], final));
  }
  return done;
}

void UniDiffuser::decode(const Request& request, const NamedTensors& latents, const DecodeSink& sink) {
  const c10::InferenceMode no_gradients;
  const UniDiffuserMode last = stages_of(request.mode).back();
  for (const auto& [name, shape] : shapes_of(last, request.count, config(), TensorRole::latents)) {
    const auto found = latents.find(name);
    if (found != latents.end() && found->second.sizes() == at::IntArrayRef(shape)) continue;
    throw Error(
        fmt::format("{} are not there or not [{}], which mode {} decodes", name, fmt::join(shape, ", "), request.mode),
        "decode with the model that made them");
  }
  if (makes_image(last)) {
    for (const at::Tensor& sample : latents.at("image_vae_latents").split(1))
      sink.on_image(frame_of(parts_.decode_images(sample).front()));
  }
  if (!makes_text(last)) return;
  for (const at::Tensor& sample : latents.at("text_latents").split(1)) {
    const DecodedText caption = parts_.decode_texts(sample).front();
    remark_on(caption, sink.on_remark);
    sink.on_text(caption.text);
  }
}

void UniDiffuser::release(Phase phase) {
  parts_.release(phase);
}

std::unique_ptr<Pipeline> open_unidiffuser(const Checkpoint& checkpoint, const RunOptions& options) {
  return std::make_unique<UniDiffuser>(checkpoint, options);
}

}  // namespace bitreel
