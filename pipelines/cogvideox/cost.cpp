#include "pipelines/cogvideox/cost.h"

#include <c10/core/ScalarType.h>

#include <algorithm>

#include "pipelines/cogvideox/guidance.h"
#include "pipelines/cogvideox/request.h"
#include "pipelines/cogvideox/vae.h"
#include "pipelines/layers/block_ring.h"
#include "pipelines/layers/panel_linear.h"
#include "pipelines/model/tally.h"

namespace bitreel {
namespace {

// Tensors of [passes, tokens, inner] that live at once in a block: x, its norm, q, k, v, the attention's output, the
// feed-forward's hidden layer, four times as wide, and on a CPU attention's operands once more in fp32. On a GPU
// allocated_bytes of an H200 at its peak (step-h200.json, tokens-h200.json) say how many.
double tensors_in_a_block(const TransformerConfig& config, const RunOptions& options) {
  if (options.device.is_cpu()) return 24;
  if (options.elementwise == Elementwise::fused) return 9.5;
  return config.use_rotary_positional_embeddings ? 20 : 12;
}

// Of these, queries and keys after their norms. Without them other parts of a block hold the most: 6.9 to 8.7 in all
// (step-h200.json, offload-h200.json).
double tensors_of_normed_heads(const RunOptions& options) {
  const bool fuses = options.device.is_cuda() && options.elementwise == Elementwise::fused;
  return fuses && options.dtype != at::kFloat ? 1.5 : 0;
}

// cuBLAS's own.
double library_bytes(const RunOptions& options) {
  return options.device.is_cpu() ? 0 : 48.0 * 1024 * 1024;
}

// Tensors of one frame batch at full resolution that live at once in the decoder: a convolution's input with its
// padding, its output, its workspace, the spatial norm's two maps and the shortcut. Frames that convolutions remember
// come to these. Of seven sizes on a CPU, 64x64 to 256x256 with 9 to 49 frames, the peak was 0.87 to 1.15 of this;
// on a GPU likewise (vae-h200.json).
double tensors_in_the_decoder(const RunOptions& options) {
  if (options.device.is_cpu()) return 5.5;
  return options.vae_layout == ConvolutionLayout::planar ? 4.0 : 2.4;
}

// What the C library's heap keeps of blocks that have been freed: those under 16 MiB (app/allocation.h).
double heap_bytes(const RunOptions& options) {
  return options.device.is_cpu() ? 120e6 : 0;
}

Tally text_encoder(const T5Config& config, double tokens) {
  Tally tally;
  const std::int64_t inner = config.num_heads * config.d_kv;
  tally.holds(config.vocab_size * config.d_model);
  tally.holds(config.relative_attention_num_buckets * config.num_heads);
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (int i = 0; i < 3; ++i) tally.product("text", config.d_model, inner, tokens, Bias::none);  // q, k, v
    tally.product("text", inner, config.d_model, tokens, Bias::none);
    for (int i = 0; i < (config.gated ? 2 : 1); ++i)
      tally.product("text", config.d_model, config.d_ff, tokens, Bias::none);
    tally.product("text", config.d_ff, config.d_model, tokens, Bias::none);
    tally.holds(2 * config.d_model);  // norms
  }
  tally.holds(config.d_model);
  return tally;
}

// What runs in every step; the projection of the text and what timesteps say to the blocks, which run once, only hold
// parameters.
Tally transformer(const TransformerConfig& config, double passes, double text_tokens, double video_tokens,
                  GeluPass gelu) {
  Tally tally;
  const std::int64_t dim = config.inner_dim(), time = config.time_embed_dim;
  const std::int64_t patch = config.patch_size * config.patch_size * config.patch_size_t.value_or(1);
  const double tokens = passes * (text_tokens + video_tokens);
  const Bias qkv_bias = config.attention_bias ? Bias::present : Bias::none;
  const bool patch_bias = config.patch_size_t || config.patch_bias;
  tally.product("embed", config.in_channels * patch, dim, passes * video_tokens,
                patch_bias ? Bias::present : Bias::none);
  tally.product("embed", config.text_embed_dim, dim, 0);
  if (config.use_learned_positional_embeddings) {
    const std::int64_t frames = (config.sample_frames - 1) / config.temporal_compression_ratio + 1;
    const std::int64_t positions =
        frames * (config.sample_height / config.patch_size) * (config.sample_width / config.patch_size);
    tally.holds((config.max_text_seq_length + positions) * dim);
  }
  tally.product(dim, time, 0);
  tally.product(time, time, 0);
  if (config.ofs_embed_dim) {
    for (int i = 0; i < 2; ++i) tally.product(*config.ofs_embed_dim, *config.ofs_embed_dim, 0);
  }
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (int half = 0; half < 2; ++half) {  // before attention, before the feed-forward
      tally.product(time, 6 * dim, 0);
      tally.holds(2 * dim);
      const double added = layer + half == 0 ? 0 : 2;  // what the half before has made, and the sum
      tally.numbers_moved("norm", (2 + added) * tokens * real(dim));
    }
    tally.product("qkv", dim, 3 * dim, tokens, qkv_bias);
    tally.holds(4 * config.attention_head_dim);  // norms of q and k
    tally.numbers_moved("heads", 4 * tokens * real(dim));
    tally.attention(passes, text_tokens + video_tokens, dim);
    tally.product("out", dim, dim, tokens);
    tally.product("ff in", dim, 4 * dim, tokens);
    if (gelu == GeluPass::own) tally.numbers_moved("gelu", 2 * tokens * real(4 * dim));
    tally.product("ff out", 4 * dim, dim, tokens);
  }
  tally.numbers_moved("output", 3 * tokens * real(dim));
  tally.holds(4 * dim);  // norm_final, norm_out
  tally.product(time, 2 * dim, 0);
  tally.product("output", dim, config.out_channels * patch, passes * video_tokens);
  return tally;
}

// The decoder on `frames` x `height` x `width` latents.
class Decoder {
 public:
  Decoder(const VaeConfig& config, std::int64_t frames, std::int64_t height, std::int64_t width)
      : config_(config), latents_(real(frames * height * width)), frames_(frames), height_(height), width_(width) {
    const std::vector<std::int64_t> widths(config.block_out_channels.rbegin(), config.block_out_channels.rend());
    causal(config.latent_channels, widths.front());
    for (int i = 0; i < 2; ++i) resnet(widths.front(), widths.front());
    std::int64_t in = widths.front();
    std::int64_t times_left = config.temporal_compression_ratio;
    for (std::size_t level = 0; level < widths.size(); ++level) {
      for (std::int64_t i = 0; i <= config.layers_per_block; ++i) resnet(i == 0 ? in : widths[level], widths[level]);
      in = widths[level];
      if (level + 1 == widths.size()) break;
      grow();
      tally_.convolution("resize", 9, in, in, positions());
      if (times_left > 1) double_frames(in);
      times_left /= 2;
    }
    norm(in);
    causal(in, config.out_channels);
    tally_.numbers_moved("frames", real(config.out_channels) * positions());
  }

  [[nodiscard]] const Tally& tally() const { return tally_; }
  // Numbers that its convolutions remember from one frame batch to the next: two frames of what each read.
  [[nodiscard]] double remembered() const { return remembered_; }

 private:
  void causal(std::int64_t in, std::int64_t out) {
    tally_.convolution("convolution", 27, in, out, positions());
    remembered_ += 2 * real(in * height_ * width_);
  }
  [[nodiscard]] double positions() const { return real(frames_ * height_ * width_); }

  void grow() {
    height_ *= 2;
    width_ *= 2;
  }
  // An odd first frame is not doubled. Convolved ones are, by a copy.
  void double_frames(std::int64_t channels) {
    const double before = positions();
    frames_ = 2 * frames_ - frames_ % 2;
    tally_.numbers_moved("resize", real(channels) * (before + positions()));
  }
  // Its two maps are convolutions of the latent, on the latent's own positions.
  void norm(std::int64_t channels) {
    tally_.holds(2 * channels);
    for (int i = 0; i < 2; ++i) tally_.product("norm", config_.latent_channels, channels, latents_);
    tally_.numbers_moved("norm", 3 * real(channels) * positions());  // read for the moments, and for the result
  }
  void resnet(std::int64_t in, std::int64_t out) {
    norm(in);
    causal(in, out);
    norm(out);
    causal(out, out);
    if (in != out) tally_.product("shortcut", in, out, positions());
    tally_.numbers_moved("shortcut", 3 * real(out) * positions());
  }

  const VaeConfig& config_;
  double latents_;
  std::int64_t frames_, height_, width_;
  double remembered_ = 0;
  Tally tally_;
};

// What a model of equal blocks holds on its device.
struct BlocksHeld {
  double beside = 0;  // bytes of all that is no block
  double block = 0;   // bytes
  std::int64_t blocks = 0;

  [[nodiscard]] double on_device(const RunOptions& options) const {
    const auto places = static_cast<std::int64_t>(BlockRing::places);
    return beside + block * real(options.offload == Offload::layers ? std::min(blocks, places) : blocks);
  }
};

template <class Config>
double parameters_of_a_block(Config config) {
  const double with = parameters_of(config);
  --config.num_layers;
  return with - parameters_of(config);
}

// In 8 bits the four products over all tokens hold a byte a number.
double transformer_bytes(const TransformerConfig& config, const RunOptions& options, double bytes) {
  const bool is_quantized =
      options.linear.precision != LinearPrecision::full || options.linear.weights != WeightStorage::full;
  const double copies = is_quantized ? 1 : weight_copies(options);
  const double block = parameters_of_a_block(config);
  const double in_a_byte = is_quantized ? 12 * real(config.inner_dim() * config.inner_dim()) : 0;
  return BlocksHeld{.beside = copies * bytes * (parameters_of(config) - real(config.num_layers) * block),
                    .block = in_a_byte + copies * bytes * (block - in_a_byte),
                    .blocks = config.num_layers}
      .on_device(options);
}

double text_encoder_bytes(const T5Config& config, const RunOptions& options, double bytes) {
  const double block = parameters_of_a_block(config);
  const BlocksHeld held{.beside = bytes * (parameters_of(config) - real(config.num_layers) * block),
                        .block = bytes * block,
                        .blocks = config.num_layers};
  // Nothing that it computes is as large as the block that is loaded beside those in their places.
  return held.on_device(options) + (options.offload == Offload::layers ? held.block : 0);
}

// The largest weight, turned back from fp8 for its product.
double unpacked_bytes(const TransformerConfig& config, const RunOptions& options, double bytes) {
  return options.linear.weights == WeightStorage::full ? 0 : bytes * 4 * real(config.inner_dim() * config.inner_dim());
}

// The last level's blocks run at full resolution and begin with the width of the level before.
double widest_channels(const VaeConfig& vae) {
  return real(vae.block_out_channels[vae.block_out_channels.size() > 1 ? 1 : 0]);
}

// Pixels of all tiles on an axis, which overlap, for each of the picture's.
double tiles_to_whole(std::int64_t size, std::int64_t tile, double overlap) {
  const auto stride = std::max<std::int64_t>(static_cast<std::int64_t>(static_cast<double>(tile) * (1 - overlap)), 1);
  std::int64_t all = 0;
  for (std::int64_t begin = 0; begin < size; begin += stride) all += std::min(tile, size - begin);
  return real(all) / real(size);
}

// What decoding holds beside its weights, in numbers. Of several frame batches a later one holds most, with all that
// convolutions remember; in a single one they have come to remember a part where it holds most, and all of the tiles
// before.
double decoder_numbers(const Request& request, const VaeConfig& vae, const RunOptions& options, const Decoder& decoder,
                       std::int64_t latent_frames) {
  double pixels = real(request.width * request.height), overlapped = 1;
  if (options.vae_tiling == Tiling::on) {
    const VaeTiling tiling = default_tiling(vae);
    pixels = std::min(pixels, real(tiling.tile_height * tiling.tile_width));
    if (request.height > tiling.tile_height || request.width > tiling.tile_width) {
      overlapped = tiles_to_whole(request.height, tiling.tile_height, tiling.overlap_height) *
                   tiles_to_whole(request.width, tiling.tile_width, tiling.overlap_width);
    }
  }
  const std::int64_t ratio = vae.temporal_compression_ratio;
  std::int64_t frames = 2 * ratio;
  double share_remembered = 1;
  if (latent_frames <= most_latent_frames_in_a_batch) {
    frames = latent_frames % 2 == 1 ? (latent_frames - 1) * ratio + 1 : latent_frames * ratio;
    share_remembered = overlapped > 1 ? 0.75 : 0.45;
  }
  return real(frames) * pixels * widest_channels(vae) * tensors_in_the_decoder(options) +
         share_remembered * overlapped * decoder.remembered();
}

}  // namespace

double parameters_of(const T5Config& config) {
  return text_encoder(config, 0).parameters;
}

double parameters_of(const TransformerConfig& config) {
  return transformer(config, 0, 0, 0, GeluPass::own).parameters;
}

double decoder_parameters_of(const VaeConfig& config) {
  return Decoder(config, 0, 0, 0).tally().parameters;
}

Cost cost_of(const Request& request, const CogVideoXConfig& config, const RunOptions& options) {
  const Geometry geometry = geometry_of(request, config);
  const TransformerConfig& denoiser = config.transformer;
  const double bytes = real(static_cast<std::int64_t>(c10::elementSize(options.dtype.value())));
  const std::int64_t passes = uses_guidance(request) ? 2 : 1;
  const std::int64_t tokens = geometry.text_tokens + geometry.video_tokens;
  Cost cost;
  cost.tokens = {{"text", geometry.text_tokens}, {"video", geometry.video_tokens}};
  cost.layers = denoiser.num_layers;
  cost.attention = {.batch = passes,
                    .heads = denoiser.num_attention_heads,
                    .queries = tokens,
                    .keys = tokens,
                    .head_dim = denoiser.attention_head_dim};

  const T5Config& t5 = config.text_encoder;
  const Tally text = text_encoder(t5, real(passes * geometry.text_tokens));
  cost.encode = {.weight_bytes = text_encoder_bytes(t5, options, bytes),
                 .product_flop = text.flop,
                 .attention_flop = real(t5.num_layers) * attention_flop({.batch = passes,
                                                                         .heads = t5.num_heads,
                                                                         .queries = geometry.text_tokens,
                                                                         .keys = geometry.text_tokens,
                                                                         .head_dim = t5.d_kv})};

  const bool takes_gelu =
      options.device.is_cuda() || multiplies_in_panels(options.linear, options.device, options.dtype.value());
  const bool fuses = takes_gelu && options.elementwise == Elementwise::fused;
  const Tally step = transformer(denoiser, real(passes), real(geometry.text_tokens), real(geometry.video_tokens),
                                 fuses ? GeluPass::in_a_product : GeluPass::own);
  const double modulations = real(request.steps * (12 * denoiser.num_layers + 2) * denoiser.inner_dim());
  const double tensor = bytes * real(passes * tokens * denoiser.inner_dim());
  cost.denoise = {.weight_bytes = transformer_bytes(denoiser, options, bytes),
                  .activation_bytes = tensor * tensors_in_a_block(denoiser, options) + bytes * modulations +
                                      unpacked_bytes(denoiser, options, bytes) + library_bytes(options),
                  .normed_heads_bytes = tensor * tensors_of_normed_heads(options),
                  .product_flop = step.flop,
                  .attention_flop = real(cost.layers) * attention_flop(cost.attention),
                  .works = step.works(bytes)};

  const VaeConfig& vae = config.vae;
  const std::int64_t latent_frames = geometry.latent_frames - geometry.padding_frames;
  const Decoder decoder(vae, latent_frames, geometry.latent_height, geometry.latent_width);
  const Tally& decoding = decoder.tally();
  cost.decode = {
      .weight_bytes = bytes * decoding.parameters,
      .activation_bytes = bytes * decoder_numbers(request, vae, options, decoder, latent_frames) + heap_bytes(options),
      .product_flop = decoding.flop,  // of the whole picture: tiles overlap and compute what they share twice
      .works = decoding.works(bytes)};
  return cost;
}

}  // namespace bitreel
