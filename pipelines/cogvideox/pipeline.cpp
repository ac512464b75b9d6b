#include "pipelines/cogvideox/pipeline.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/error.h"
#include "pipelines/checkpoint/host_weights.h"
#include "pipelines/cogvideox/clip_denoising.h"
#include "pipelines/cogvideox/cost.h"
#include "pipelines/cogvideox/elementwise.h"
#include "pipelines/cogvideox/guidance.h"
#include "pipelines/cogvideox/request.h"
#include "pipelines/cogvideox/transformer.h"
#include "pipelines/cogvideox/vae.h"
#include "pipelines/layers/work_clock.h"
#include "pipelines/model/machine_memory.h"
#include "pipelines/model/step_graphs.h"
#include "pipelines/text/t5.h"
#include "pipelines/text/tokenizer.h"

namespace bitreel {

// What is loaded: the tokenizer and encoder by the first encode(), and so on.
struct CogVideoX::Parts {
  explicit Parts(CogVideoXConfig read) : config(std::move(read)) {}

  // The part in its place, made there if there is none: by one thread, for which others wait.
  template <class Part, class Make>
  const Part& loaded(std::optional<Part>& place, const Make& make) {
    const std::lock_guard one_loads(loading);
    if (!place) place.emplace(make());
    return *place;
  }

  // Lets go of the phase's part; whether there was one.
  bool reset(Phase phase) {
    switch (phase) {
      case Phase::encode:
        return std::exchange(encoder, std::nullopt).has_value();
      case Phase::denoise:
        return std::exchange(transformer, std::nullopt).has_value();
      case Phase::decode:
        return std::exchange(vae, std::nullopt).has_value();
    }
    return false;
  }

  const CogVideoXConfig config;
  std::mutex loading;
  std::map<std::string, HostWeights> host;  // by component: those that had to leave the device and may come back
  std::optional<T5Tokenizer> tokenizer;
  std::optional<T5Encoder> encoder;
  std::optional<Transformer> transformer;
  std::optional<Vae> vae;
};

namespace {

RunOptions with_dtype(RunOptions options, const Checkpoint& checkpoint) {
  if (!options.dtype) options.dtype = default_dtype(checkpoint.weights("transformer"), options.device);
  return options;
}

// 1.5 was trained at 16 frames a second, 1.0 (no temporal patches) at 8.
PipelineTraits traits_of(const CogVideoXConfig& config, const RunOptions& options) {
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
          .not_settings = {},
          .records_steps = true,
          .concurrent = options.offload == Offload::none};
}

constexpr std::array phases = {std::pair{Phase::encode, "text_encoder"}, std::pair{Phase::denoise, "transformer"},
                               std::pair{Phase::decode, "vae"}};

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

}  // namespace

CogVideoX::CogVideoX(const Checkpoint& checkpoint, const RunOptions& options)
    : CogVideoX(checkpoint, options, read_config(checkpoint)) {}

CogVideoX::CogVideoX(const Checkpoint& checkpoint, const RunOptions& options, CogVideoXConfig config)
    : Pipeline(checkpoint, with_dtype(options, checkpoint), traits_of(config, options)),
      parts_(std::make_unique<Parts>(std::move(config))) {}

CogVideoX::~CogVideoX() = default;

LoadOptions CogVideoX::load_options(const std::string& component) const {
  const auto kept = parts_->host.find(component);
  return {.dtype = dtype(),
          .device = options().device,
          .blocks = options().offload == Offload::layers ? BlockPlace::streamed : BlockPlace::resident,
          .host = kept == parts_->host.end() ? nullptr : &kept->second};
}

void CogVideoX::take_turn(Phase phase) {
  if (options().offload != Offload::model) return;
  const std::lock_guard none_loads(parts_->loading);
  for (const auto& [other, component] : phases) {
    if (other != phase && parts_->reset(other)) parts_->host.try_emplace(component, options().device);
  }
}

const T5Tokenizer& CogVideoX::tokenizer() const {
  return parts_->loaded(parts_->tokenizer, [&] { return T5Tokenizer::open(checkpoint().folder() / "tokenizer"); });
}

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
  const T5Tokenizer& tokenizer = this->tokenizer();
  const std::int64_t limit = config().transformer.max_text_seq_length;
  // Long prompts are cut where the peer cuts them; unlike there, it is said.
  for (const auto& [field, text] :
       {std::pair{"`prompt`", &request.prompt}, {"`negative_prompt`", &request.negative_prompt}}) {
    const std::int64_t dropped = tokenizer.encode(*text, limit).dropped;
    if (dropped == 0) continue;
    remarks.push_back(fmt::format("{} is {} tokens longer than the {} that the model reads: its end is ignored", field,
                                  dropped, limit));
  }
  if (dtype() == at::kHalf && stored_dtype(checkpoint().weights("transformer")) == at::kBFloat16) {
    remarks.emplace_back(
        "fp16 with weights stored as bf16: values beyond 65504 overflow; `dtype` bf16 keeps their range");
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
  RunOptions run = options();
  if (run.vae_tiling == Tiling::automatic) run.vae_tiling = tiles_for(request).used ? Tiling::on : Tiling::off;
  return cost_of(request, config(), run);
}

CogVideoX::Tiles CogVideoX::tiles_for(const Request& request) const {
  if (options().vae_tiling != Tiling::automatic) return {.used = options().vae_tiling == Tiling::on};
  const PhaseCost whole = cost_of(request, config(), options()).decode;
  const std::unique_lock none_loads(parts_->loading);
  const double needed = whole.activation_bytes + (parts_->vae ? 0 : whole.weight_bytes);
  const double available = machine_memory(options().device).available;
  const VaeTiling tiles = default_tiling(config().vae);
  const bool is_larger = request.height > tiles.tile_height || request.width > tiles.tile_width;
  constexpr double gib = 1024.0 * 1024 * 1024;
  const std::string compared =
      fmt::format("`vae_tiling` auto: decoding the whole picture takes about {:.1f} GiB, {:.1f} GiB are free",
                  needed / gib, available / gib);
  if (needed <= available || !is_larger) return {.used = false, .why = compared + ": it is not tiled"};
  return {.used = true,
          .why = fmt::format("{}: it is decoded in tiles of {}x{}, whose pixels differ slightly", compared,
                             tiles.tile_width, tiles.tile_height)};
}

Elementwise CogVideoX::elementwise() const {
  return path_of(options().elementwise, options().device, dtype());
}

NamedTensors CogVideoX::encode(const Request& request) {
  const c10::InferenceMode no_gradients;
  take_turn(Phase::encode);
  const T5Tokenizer& tokenizer = this->tokenizer();
  const T5Encoder& encoder = parts_->loaded(parts_->encoder, [&] {
    return T5Encoder(checkpoint().weights("text_encoder"), config().text_encoder, load_options("text_encoder"));
  });
  const auto encode = [&](const std::string& text) {
    const TokenIds tokens = tokenizer.encode(text, config().transformer.max_text_seq_length);
    const at::Tensor ids = at::tensor(tokens.ids, at::TensorOptions(at::kLong)).unsqueeze(0).to(options().device);
    return encoder(ids).to(dtype());
  };
  NamedTensors embeddings = {{"prompt_embeds", encode(request.prompt)}};
  if (uses_guidance(request)) embeddings["negative_prompt_embeds"] = encode(request.negative_prompt);
  return embeddings;
}

NamedTensors CogVideoX::denoise(const Request& request, const NamedTensors& embeddings, const DenoiseOptions& options) {
  return std::move(denoise_together({{.request = request, .embeddings = embeddings, .options = options}}).front());
}

bool CogVideoX::shares_batch(const Request& a, const Request& b) const {
  return uses_guidance(a) == uses_guidance(b) && latent_shapes(a) == latent_shapes(b) && timesteps(a) == timesteps(b);
}

std::vector<NamedTensors> CogVideoX::denoise_together(const std::vector<Denoising>& all) {
  const c10::InferenceMode no_gradients;
  for (const Denoising& one : all) {
    check(one.request);
    if (!shares_batch(one.request, all.front().request)) return Pipeline::denoise_together(all);
  }
  take_turn(Phase::denoise);
  const Transformer& transformer = parts_->loaded(parts_->transformer, [&] {
    return Transformer(checkpoint().weights("transformer"), config().transformer, load_options("transformer"),
                       options().elementwise, options().linear);
  });
  // Before the clips, whose memory then is of its stream, and after the weights, which other threads read as well.
  StepGraphs graphs(options(), all.front().options.on_remark);
  std::vector<ClipDenoising> clips;
  clips.reserve(all.size());
  for (const Denoising& one : all) {
    clips.emplace_back(one, config(),
                       LatentsAsRun{.shapes = latent_shapes(one.request),
                                    .dtype = dtype(),
                                    .device = options().device,
                                    .elementwise = options().elementwise});
  }
  const Geometry geometry = geometry_of(all.front().request, config());
  const LatentGrid grid{geometry.latent_frames, geometry.latent_height, geometry.latent_width};
  const auto first = std::ranges::min_element(clips, {}, &ClipDenoising::first_step);
  // Of every step, taken up or not, so that a resumed clip has the same bits.
  const at::Tensor modulations = transformer.modulations(timesteps(all.front().request));

  std::size_t in_batch = 0;
  Conditioning conditioning;
  for (const DenoisingStep& step : first->steps_left()) {
    std::vector<ClipDenoising*> running;
    for (ClipDenoising& clip : clips) {
      if (clip.first_step() <= step.index) running.push_back(&clip);
    }
    const auto batched = [&](auto part) {
      std::vector<at::Tensor> parts;
      parts.reserve(running.size());
      for (const ClipDenoising* clip : running) parts.push_back((clip->*part)());
      return parts.size() == 1 ? parts.front() : at::cat(parts);
    };
    if (running.size() != in_batch) {
      graphs.forget();
      conditioning = transformer.condition(batched(&ClipDenoising::text), grid);
      in_batch = running.size();
    }
    const std::int64_t branches = running.front()->branches();
    std::vector<LayerAttention> attention;
    attention.reserve(running.size());
    for (const ClipDenoising* clip : running) {
      attention.push_back(clip->attention_of(step, options().attention_backend));
    }
    const LayerAttention together = each_on_its_own(std::move(attention), branches);
    const at::Tensor predictions =
        graphs.run(together, {batched(&ClipDenoising::input), modulations.narrow(0, step.index, 1)},
                   [&](const std::vector<at::Tensor>& in) {
                     return transformer(in[0], conditioning, {.modulation = in[1], .attention = together});
                   });
    for (std::int64_t i = 0; i < std::ssize(running); ++i) {
      running[static_cast<std::size_t>(i)]->advance(step, predictions.narrow(0, i * branches, branches));
    }
  }
  std::vector<NamedTensors> latents;
  latents.reserve(clips.size());
  for (const ClipDenoising& clip : clips) latents.push_back(clip.latents());
  return latents;
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
  take_turn(Phase::decode);
  const Tiles tiles = tiles_for(request);
  if (!tiles.why.empty() && sink.on_remark) sink.on_remark(tiles.why);
  LoadOptions load = load_options("vae");
  load.convolutions = options().vae_layout;
  const Vae& vae = parts_->loaded(parts_->vae, [&] {
    return Vae(checkpoint().weights("vae"), vae_config, load, VaeParts::decoder, options().elementwise);
  });
  VaeRunOptions run;
  if (tiles.used) run.tiling = default_tiling(vae_config);
  const at::Tensor clip =
      latents.narrow(1, latents.size(1) - wanted, wanted).to(options().device, dtype()).permute({0, 2, 1, 3, 4});
  vae.decode((1.0 / vae_config.scaling_factor) * clip, run,
             [&](const at::Tensor& pixels) { timed("frames", [&] { emit_frames(pixels, sink.on_frame); }); });
}

void CogVideoX::release(Phase phase) {
  const std::lock_guard none_loads(parts_->loading);
  parts_->reset(phase);
  for (const auto& [of, component] : phases) {
    if (of == phase) parts_->host.erase(component);
  }
}

std::unique_ptr<Pipeline> open_cogvideox(const Checkpoint& checkpoint, const RunOptions& options) {
  return std::make_unique<CogVideoX>(checkpoint, options);
}

}  // namespace bitreel
