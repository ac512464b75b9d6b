#include "pipelines/cogvideox/pipeline.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/error.h"
#include "pipelines/cogvideox/cost.h"
#include "pipelines/cogvideox/elementwise.h"
#include "pipelines/cogvideox/guidance.h"
#include "pipelines/cogvideox/request.h"
#include "pipelines/cogvideox/transformer.h"
#include "pipelines/cogvideox/vae.h"
#include "pipelines/text/t5.h"
#include "pipelines/text/tokenizer.h"

namespace bitreel {

// What is loaded: the tokenizer and encoder by the first encode(), and so on.
struct CogVideoX::Parts {
  CogVideoXConfig config;
  std::optional<T5Tokenizer> tokenizer = {};
  std::optional<T5Encoder> encoder = {};
  std::optional<Transformer> transformer = {};
  std::optional<Vae> vae = {};
};

namespace {

RunOptions with_dtype(RunOptions options, const Checkpoint& checkpoint) {
  if (!options.dtype) options.dtype = default_dtype(checkpoint.weights("transformer"), options.device);
  return options;
}

// 1.5 was trained at 16 frames a second, 1.0 (no temporal patches) at 8.
PipelineTraits traits_of(const CogVideoXConfig& config) {
  return {.modes = {{.name = "text-to-video", .takes = Medium::text, .makes = {Medium::video}}},
          .components = {{.name = "tokenizer"},
                         {.name = "text_encoder", .weights = {Phase::encode}},
                         {.name = "transformer", .weights = {Phase::denoise}},
                         {.name = "vae", .weights = {Phase::decode}},
                         {.name = "scheduler"}},
          .denoiser = "transformer",
          .layers = config.transformer.num_layers,
          .fps = config.transformer.patch_size_t ? 16.0 : 8.0,
          .schedulers = {SchedulerKind::ddim, SchedulerKind::dpm},
          .not_settings = {}};
}

std::unique_ptr<NoiseScheduler> scheduler_for(const Request& request, const CogVideoXConfig& config) {
  return make_scheduler(request.scheduler, NoiseSchedule(config.schedule, request.steps));
}

// [1, 3, T, H, W] in [-1, 1] -> T frames of 8-bit RGB, rounded as the peer rounds.
void emit_frames(const at::Tensor& pixels, const std::function<void(const Frame&)>& on_frame) {
  const at::Tensor scaled = (pixels * 0.5 + 0.5).clamp(0, 1).to(at::kFloat);
  const at::Tensor rgb =
      (scaled * 255).round().to(at::kByte).squeeze(0).permute({1, 2, 3, 0}).to(at::kCPU).contiguous();
  for (std::int64_t i = 0; i < rgb.size(0); ++i) {
    on_frame({.rgb = rgb[i].const_data_ptr<std::uint8_t>(),
              .width = static_cast<int>(rgb.size(2)),
              .height = static_cast<int>(rgb.size(1))});
  }
}

const at::Tensor& tensor_in(const NamedTensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw Error(fmt::format("there is no tensor {}, which this model takes", name));
  return found->second;
}

}  // namespace

CogVideoX::CogVideoX(const Checkpoint& checkpoint, RunOptions options)
    : CogVideoX(checkpoint, std::move(options), read_config(checkpoint)) {}

CogVideoX::CogVideoX(const Checkpoint& checkpoint, RunOptions options, CogVideoXConfig config)
    : Pipeline(checkpoint, with_dtype(std::move(options), checkpoint), traits_of(config)),
      parts_(std::make_unique<Parts>(Parts{.config = std::move(config)})) {}

CogVideoX::~CogVideoX() = default;

const CogVideoXConfig& CogVideoX::config() const {
  return parts_->config;
}

Request CogVideoX::default_request() const {
  Request request = bitreel::default_request(config());
  request.mode = traits().modes.front().name;
  return request;
}

Request CogVideoX::request_of(const NamedTensors& all) const {
  Request request = default_request();
  const at::Tensor& latents = tensor_in(all, "latents");
  if (latents.dim() != 5 || latents.numel() == 0) {
    throw Error(
        fmt::format("latents has {} dimensions and {} values, expected [batch, frames, channels, height, width]",
                    latents.dim(), latents.numel()));
  }
  request.height = latents.size(3) * config().vae.spatial_factor();
  request.width = latents.size(4) * config().vae.spatial_factor();
  // Clips are 8n+1 frames, an odd number of latent ones; one that makes them even is padding.
  request.num_frames = (latents.size(1) - 1) / 2 * 2 * config().vae.temporal_compression_ratio + 1;
  return request;
}

void CogVideoX::check(const Request& request) const {
  bitreel::check(request, config());
}

std::vector<std::string> CogVideoX::remarks(const Request& request) const {
  std::vector<std::string> remarks;
  if (!parts_->tokenizer) parts_->tokenizer = T5Tokenizer::open(checkpoint().folder() / "tokenizer");
  const std::int64_t limit = config().transformer.max_text_seq_length;
  // Long prompts are cut where the peer cuts them; unlike there, it is said.
  for (const auto& [flag, text] :
       {std::pair{"--prompt", &request.prompt}, {"--negative-prompt", &request.negative_prompt}}) {
    const std::int64_t dropped = parts_->tokenizer->encode(*text, limit).dropped;
    if (dropped == 0) continue;
    remarks.push_back(fmt::format("{} is {} tokens longer than the {} that the model reads: its end is ignored", flag,
                                  dropped, limit));
  }
  if (dtype() == at::kHalf && stored_dtype(checkpoint().weights("transformer")) == at::kBFloat16) {
    remarks.emplace_back(
        "fp16 with weights stored as bf16: values beyond 65504 overflow; --dtype bf16 keeps their range");
  }
  return remarks;
}

std::vector<std::int64_t> CogVideoX::timesteps(const Request& request) const {
  return scheduler_for(request, config())->schedule().timesteps();
}

LatentShapes CogVideoX::latent_shapes(const Request& request) const {
  const Geometry geometry = geometry_of(request, config());
  return {
      {"latents",
       {1, geometry.latent_frames, config().transformer.in_channels, geometry.latent_height, geometry.latent_width}}};
}

Cost CogVideoX::cost(const Request& request) const {
  return cost_of(request, config(), options());
}

Elementwise CogVideoX::elementwise() const {
  return path_of(options().elementwise, options().device, dtype());
}

NamedTensors CogVideoX::encode(const Request& request) {
  const c10::InferenceMode no_gradients;
  Parts& parts = *parts_;
  if (!parts.tokenizer) parts.tokenizer = T5Tokenizer::open(checkpoint().folder() / "tokenizer");
  if (!parts.encoder) {
    parts.encoder.emplace(checkpoint().weights("text_encoder"), config().text_encoder,
                          LoadOptions{.dtype = dtype(), .device = options().device});
  }
  const auto encode = [&](const std::string& text) {
    const TokenIds tokens = parts.tokenizer->encode(text, config().transformer.max_text_seq_length);
    const at::Tensor ids = at::tensor(tokens.ids, at::TensorOptions(at::kLong)).unsqueeze(0).to(options().device);
    return (*parts.encoder)(ids).to(dtype());
  };
  NamedTensors embeddings = {{"prompt_embeds", encode(request.prompt)}};
  if (uses_guidance(request)) embeddings["negative_prompt_embeds"] = encode(request.negative_prompt);
  return embeddings;
}

NamedTensors CogVideoX::denoise(const Request& request, const NamedTensors& embeddings,
                                const DenoiseOptions& denoising) {
  const c10::InferenceMode no_gradients;
  check(request);
  const bool guides = uses_guidance(request);
  const Geometry geometry = geometry_of(request, config());
  const LatentGrid grid{geometry.latent_frames, geometry.latent_height, geometry.latent_width};
  std::optional<Transformer>& transformer = parts_->transformer;
  if (!transformer) {
    transformer.emplace(checkpoint().weights("transformer"), config().transformer,
                        LoadOptions{.dtype = dtype(), .device = options().device}, options().elementwise);
  }
  const at::Tensor& positive = tensor_in(embeddings, "prompt_embeds");
  const Conditioning conditioning = transformer->condition(
      guides ? at::cat({tensor_in(embeddings, "negative_prompt_embeds"), positive}) : positive, grid);
  const std::unique_ptr<NoiseScheduler> scheduler = scheduler_for(request, config());
  const std::vector<std::int64_t>& timesteps = scheduler->schedule().timesteps();
  const auto count = static_cast<std::int64_t>(timesteps.size());

  // Noise is drawn on the CPU in the model's dtype, then moved: the only numbers that every machine agrees on.
  at::Generator generator = at::detail::createCPUGenerator(request.seed);
  const LatentShapes shapes = latent_shapes(request);
  at::Tensor latents;
  if (const auto& from = denoising.from) {
    check_state(*from, shapes, count);
    latents = from->latents.at("latents");
    generator.set_state(from->generator);
    NamedTensors remembered = from->scheduler;
    for (auto& [name, tensor] : remembered) tensor = tensor.to(options().device);
    scheduler->restore(remembered);
  } else {
    latents = at::randn(shapes.at("latents"), generator, at::TensorOptions(dtype()));
  }
  latents = latents.to(options().device);

  for (std::int64_t i = denoising.from ? denoising.from->steps_done : 0; i < count; ++i) {
    const DenoisingStep step{.index = i, .count = count, .timestep = timesteps[static_cast<std::size_t>(i)]};
    const double guidance = guidance_at(request, i, step.timestep);
    const at::Tensor input = guides ? at::cat({latents, latents}) : latents;
    const LayerAttention attention =
        denoising.attention_of_step ? denoising.attention_of_step(step) : full_attention(options().attention_backend);
    at::Tensor prediction =
        (*transformer)(input, conditioning, {.timestep = step.timestep, .attention = attention}).to(at::kFloat);
    if (guides) prediction = guided(prediction, guidance);
    latents = scheduler->step(prediction, static_cast<std::size_t>(i), latents, generator).to(dtype());
    const NamedTensors named = {{"latents", latents}};
    check_finite(named, step);
    const auto state = [&]() -> DenoisingState {
      return {
          .steps_done = i + 1, .latents = named, .scheduler = scheduler->state(), .generator = generator.get_state()};
    };
    if (denoising.on_step)
      denoising.on_step({.step = step, .guidance_scale = guidance, .latents = named, .state = state});
  }
  return {{"latents", latents}};
}

void CogVideoX::decode(const Request& request, const NamedTensors& all, const DecodeSink& sink) {
  const c10::InferenceMode no_gradients;
  const VaeConfig& vae_config = config().vae;
  const at::Tensor& latents = tensor_in(all, "latents");
  const std::int64_t wanted = (request.num_frames - 1) / vae_config.temporal_compression_ratio + 1;
  if (latents.dim() != 5 || latents.size(0) != 1 || latents.size(1) < wanted ||
      latents.size(2) != vae_config.latent_channels) {
    throw Error(fmt::format("latents of {} dimensions don't fit: expected [1, {} or more, {}, height, width]",
                            latents.dim(), wanted, vae_config.latent_channels),
                "decode with the model that made them");
  }
  std::optional<Vae>& vae = parts_->vae;
  if (!vae) {
    vae.emplace(checkpoint().weights("vae"), vae_config, LoadOptions{.dtype = dtype(), .device = options().device},
                VaeParts::decoder);
  }
  VaeRunOptions run;
  if (options().vae_tiling) run.tiling = default_tiling(vae_config);
  const at::Tensor clip =
      latents.narrow(1, latents.size(1) - wanted, wanted).to(options().device, dtype()).permute({0, 2, 1, 3, 4});
  vae->decode((1.0 / vae_config.scaling_factor) * clip, run,
              [&](const at::Tensor& pixels) { emit_frames(pixels, sink.on_frame); });
}

void CogVideoX::release(Phase phase) {
  switch (phase) {
    case Phase::encode:
      parts_->encoder.reset();
      return;
    case Phase::denoise:
      parts_->transformer.reset();
      return;
    case Phase::decode:
      parts_->vae.reset();
      return;
  }
}

std::unique_ptr<Pipeline> open_cogvideox(const Checkpoint& checkpoint, const RunOptions& options) {
  return std::make_unique<CogVideoX>(checkpoint, options);
}

}  // namespace bitreel
