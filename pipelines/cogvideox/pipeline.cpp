#include "pipelines/cogvideox/pipeline.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <fmt/ranges.h>

#include <utility>

#include "base/error.h"
#include "pipelines/cogvideox/guidance.h"
#include "pipelines/cogvideox/transformer.h"
#include "pipelines/cogvideox/vae.h"
#include "pipelines/text/t5.h"
#include "pipelines/text/tokenizer.h"
#include "schedulers/noise/scheduler.h"

namespace bitreel {

struct CogVideoX::Parts {
  Checkpoint checkpoint;
  CogVideoXConfig config;
  ModelOptions options;

  [[nodiscard]] LoadOptions load_options() const { return {.dtype = options.dtype, .device = options.device}; }
};

namespace {

std::unique_ptr<NoiseScheduler> scheduler_for(const Request& request, const CogVideoXConfig& config) {
  NoiseSchedule schedule(config.schedule, request.steps);
  return request.scheduler == SchedulerKind::dpm ? make_dpm(std::move(schedule)) : make_ddim(std::move(schedule));
}

void check_finite(const at::Tensor& latents, std::int64_t step, std::int64_t count, at::ScalarType dtype) {
  if (at::isfinite(latents).all().item<bool>()) return;
  throw Error(fmt::format("step {} of {}: the latents are no longer finite", step + 1, count),
              dtype == at::kHalf ? "fp16 overflows on models trained in bf16; try --dtype bf16"
                                 : "the weights may be damaged; compare their checksums with the hub's");
}

void check_state(const DenoisingState& state, at::IntArrayRef shape, std::size_t count) {
  if (state.latents.sizes() != shape) {
    throw Error(fmt::format("the state holds latents of [{}], this request denoises [{}]",
                            fmt::join(state.latents.sizes(), ", "), fmt::join(shape, ", ")),
                "go on with the model that began");
  }
  if (state.steps_done < 1 || static_cast<std::size_t>(state.steps_done) >= count) {
    throw Error(fmt::format("the state is that after step {}, this request has {} steps", state.steps_done, count));
  }
}

// [1, 3, T, H, W] in [-1, 1] -> T frames of 8-bit RGB, rounded as the peer rounds.
void emit_frames(const at::Tensor& pixels, const FrameCallback& on_frame) {
  const at::Tensor scaled = (pixels * 0.5 + 0.5).clamp(0, 1).to(at::kFloat);
  const at::Tensor rgb =
      (scaled * 255).round().to(at::kByte).squeeze(0).permute({1, 2, 3, 0}).to(at::kCPU).contiguous();
  for (std::int64_t i = 0; i < rgb.size(0); ++i) {
    on_frame({.rgb = rgb[i].const_data_ptr<std::uint8_t>(),
              .width = static_cast<int>(rgb.size(2)),
              .height = static_cast<int>(rgb.size(1))});
  }
}

}  // namespace

std::vector<std::int64_t> timesteps_of(const Request& request, const CogVideoXConfig& config) {
  return scheduler_for(request, config)->schedule().timesteps();
}

CogVideoX::CogVideoX(const Checkpoint& checkpoint, ModelOptions options)
    : parts_(std::make_unique<Parts>(Parts{checkpoint, read_config(checkpoint), std::move(options)})) {}

CogVideoX::~CogVideoX() = default;

const CogVideoXConfig& CogVideoX::config() const {
  return parts_->config;
}

at::Tensor CogVideoX::encode_text(const Request& request) {
  const c10::InferenceMode no_gradients;
  const T5Tokenizer tokenizer = T5Tokenizer::open(parts_->checkpoint.folder() / "tokenizer");
  const T5Encoder encoder(parts_->checkpoint.weights("text_encoder"), parts_->config.text_encoder,
                          parts_->load_options());
  const auto encode = [&](const std::string& text) {
    const TokenIds tokens = tokenizer.encode(text, parts_->config.transformer.max_text_seq_length);
    const at::Tensor ids = at::tensor(tokens.ids, at::TensorOptions(at::kLong)).unsqueeze(0).to(parts_->options.device);
    return encoder(ids).to(parts_->options.dtype);
  };
  const at::Tensor positive = encode(request.prompt);
  return uses_guidance(request) ? at::cat({encode(request.negative_prompt), positive}) : positive;
}

at::Tensor CogVideoX::denoise(const Request& request, const at::Tensor& text, const StepCallback& on_step,
                              const StepAttention& attention_of_step, const std::optional<DenoisingState>& from) {
  const c10::InferenceMode no_gradients;
  const CogVideoXConfig& config = parts_->config;
  check(request, config);
  const Geometry geometry = geometry_of(request, config);
  const LatentGrid grid{geometry.latent_frames, geometry.latent_height, geometry.latent_width};
  const Transformer transformer(parts_->checkpoint.weights("transformer"), config.transformer, parts_->load_options(),
                                parts_->options.elementwise);
  const Conditioning conditioning = transformer.condition(text, grid);
  const std::unique_ptr<NoiseScheduler> scheduler = scheduler_for(request, config);
  const std::vector<std::int64_t>& timesteps = scheduler->schedule().timesteps();
  const auto count = static_cast<std::int64_t>(timesteps.size());

  // Noise is drawn on the CPU in the model's dtype, then moved: the only numbers that every machine agrees on.
  at::Generator generator = at::detail::createCPUGenerator(request.seed);
  const std::vector<std::int64_t> shape = {1, grid.frames, config.transformer.in_channels, grid.height, grid.width};
  at::Tensor latents;
  if (from) {
    check_state(*from, shape, timesteps.size());
    latents = from->latents;
    generator.set_state(from->generator);
    if (from->previous_original.defined()) scheduler->remember(from->previous_original.to(parts_->options.device));
  } else {
    latents = at::randn(shape, generator, at::TensorOptions(parts_->options.dtype));
  }
  latents = latents.to(parts_->options.device);

  for (std::int64_t i = from ? from->steps_done : 0; i < count; ++i) {
    const DenoisingStep step{.index = i, .count = count, .timestep = timesteps[static_cast<std::size_t>(i)]};
    const double guidance = guidance_at(request, i, step.timestep);
    const bool guides = uses_guidance(request);
    const at::Tensor input = guides ? at::cat({latents, latents}) : latents;
    const LayerAttention attention =
        attention_of_step ? attention_of_step(step) : full_attention(parts_->options.attention_backend);
    at::Tensor prediction =
        transformer(input, conditioning, {.timestep = step.timestep, .attention = attention, .ofs = {}, .on_layer = {}})
            .to(at::kFloat);
    if (guides) prediction = guided(prediction, guidance);
    latents = scheduler->step(prediction, static_cast<std::size_t>(i), latents, generator).to(parts_->options.dtype);
    check_finite(latents, i, count, parts_->options.dtype);
    const auto state = [&]() -> DenoisingState {
      return {.steps_done = i + 1,
              .latents = latents,
              .previous_original = scheduler->memory(),
              .generator = generator.get_state()};
    };
    if (on_step) on_step({.step = step, .guidance_scale = guidance, .latents = latents, .state = state});
  }
  return latents;
}

void CogVideoX::decode(const at::Tensor& latents, std::int64_t num_frames, const FrameCallback& on_frame) {
  const c10::InferenceMode no_gradients;
  const VaeConfig& config = parts_->config.vae;
  const std::int64_t wanted = (num_frames - 1) / config.temporal_compression_ratio + 1;
  if (latents.dim() != 5 || latents.size(0) != 1 || latents.size(1) < wanted ||
      latents.size(2) != config.latent_channels) {
    throw Error(fmt::format("latents of {} dimensions don't fit: expected [1, {} or more, {}, height, width]",
                            latents.dim(), wanted, config.latent_channels),
                "decode with the model that made them");
  }
  const Vae vae(parts_->checkpoint.weights("vae"), config, parts_->load_options(), VaeParts::decoder);
  VaeRunOptions run;
  if (parts_->options.vae_tiling) run.tiling = default_tiling(config);
  run.slicing = parts_->options.vae_slicing;
  const at::Tensor clip = latents.narrow(1, latents.size(1) - wanted, wanted)
                              .to(parts_->options.device, parts_->options.dtype)
                              .permute({0, 2, 1, 3, 4});
  vae.decode((1.0 / config.scaling_factor) * clip, run,
             [&](const at::Tensor& pixels) { emit_frames(pixels, on_frame); });
}

}  // namespace bitreel
