#include "pipelines/unidiffuser/cost.h"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "pipelines/layers/panel_linear.h"
#include "pipelines/model/tally.h"
#include "pipelines/unidiffuser/beam_search.h"
#include "pipelines/unidiffuser/joint_denoiser.h"
#include "pipelines/unidiffuser/request.h"

namespace bitreel {
namespace {

// Tensors of [passes, tokens, inner] that live at once beside those that skips keep: x, q, k, v, the attention's
// output, the feed-forward's hidden layer and its activation, each four times as wide, and sums.
constexpr double tensors_in_a_block = 16;

// Of a picture at full resolution in the autoencoder's widest level there.
constexpr double tensors_in_the_decoder = 6;

Tally uvit(const UVitConfig& config, double passes, GeluPass gelu) {
  Tally tally;
  const std::int64_t dim = config.inner_dim(), patch = config.patch_size * config.patch_size * config.in_channels;
  const double tokens = passes * real(config.tokens()), patches = passes * real(config.patches());
  const double texts = passes * real(config.num_text_tokens);
  const Bias qkv_bias = config.attention_bias ? Bias::present : Bias::none;
  const std::array<std::pair<std::int64_t, double>, 3> ends = {
      {{patch, patches}, {config.clip_img_dim, passes}, {config.text_dim, texts}}};
  for (const auto& [width, rows] : ends) tally.product("embed", width, dim, rows);
  tally.holds(config.tokens() * dim);
  if (config.use_timestep_embedding) {
    for (int i = 0; i < 2; ++i) {
      tally.product("embed", dim, 4 * dim, passes);
      tally.product("embed", 4 * dim, dim, passes);
    }
  }
  const std::int64_t hidden = 4 * dim, before = config.activation == UVitActivation::geglu ? 2 * hidden : hidden;
  for (std::int64_t layer = 0; layer < config.layers(); ++layer) {
    tally.product("qkv", dim, 3 * dim, tokens, qkv_bias);
    tally.attention(passes, real(config.tokens()), dim);
    tally.product("out", dim, dim, tokens);
    tally.product("ff in", dim, before, tokens);
    if (gelu == GeluPass::own) tally.numbers_moved("gelu", tokens * real(before + hidden));
    tally.product("ff out", hidden, dim, tokens);
    tally.holds(4 * dim);
    tally.numbers_moved("norm", 2 * 3 * tokens * real(dim));  // of a sum of two
  }
  for (std::int64_t skip = 0; skip < config.depth(); ++skip) {
    tally.product("skip", 2 * dim, dim, tokens);
    tally.holds(2 * dim);
    tally.numbers_moved("norm", 2 * tokens * real(dim));
  }
  tally.holds(2 * dim);
  tally.numbers_moved("output", 2 * tokens * real(dim));
  for (const auto& [width, rows] : ends) tally.product("output", dim, width, rows);
  return tally;
}

Tally clip_layers(const ClipLayersConfig& config, double tokens) {
  Tally tally;
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (int i = 0; i < 4; ++i) tally.product(config.hidden_size, config.hidden_size, tokens);
    tally.product(config.hidden_size, config.intermediate_size, tokens);
    tally.product(config.intermediate_size, config.hidden_size, tokens);
    tally.holds(4 * config.hidden_size);
  }
  return tally;
}

double attention_in(const ClipLayersConfig& config, std::int64_t tokens) {
  return real(config.num_hidden_layers) * attention_flop({.heads = config.num_attention_heads,
                                                          .queries = tokens,
                                                          .keys = tokens,
                                                          .head_dim = config.hidden_size / config.num_attention_heads});
}

// One half of the autoencoder on a picture; both halves are alike but for a block a level.
Tally autoencoder(const AutoencoderKlConfig& config, std::int64_t side, std::int64_t blocks) {
  Tally tally;
  const std::vector<std::int64_t>& widths = config.block_out_channels;
  std::int64_t in = widths.front();
  constexpr std::int64_t colours = 3;
  tally.product(9 * colours, in, real(side * side));
  for (std::size_t level = 0; level < widths.size(); ++level) {
    const double positions = real((side >> level) * (side >> level));
    for (std::int64_t i = 0; i < blocks; ++i) {
      tally.product(9 * in, widths[level], positions);
      tally.product(9 * widths[level], widths[level], positions);
      if (in != widths[level]) tally.product(in, widths[level], positions);
      in = widths[level];
    }
    if (level + 1 < widths.size()) tally.product(9 * in, in, positions);
  }
  const double coarsest = real((side / config.factor()) * (side / config.factor()));
  for (int i = 0; i < 4; ++i) tally.product(9 * in, in, coarsest);
  if (config.mid_block_add_attention) tally.product(4 * in, in, coarsest);
  tally.product(9 * in, 2 * config.latent_channels, coarsest);
  return tally;
}

// Greedily: beams share the prefix, and nothing is known of the caption's length but its bound.
Tally caption_decoder(const CaptionConfig& config, double tokens) {
  Tally tally;
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    tally.product(config.n_embd, 3 * config.n_embd, tokens);
    tally.product(config.n_embd, config.n_embd, tokens);
    tally.product(config.n_embd, config.n_inner, tokens);
    tally.product(config.n_inner, config.n_embd, tokens);
    tally.holds(4 * config.n_embd);
  }
  tally.product(config.n_embd, config.vocab_size, real(BeamOptions{}.beams * BeamOptions{}.most_tokens), Bias::none);
  tally.holds(config.n_positions * config.n_embd);
  return tally;
}

PhaseCost encoding(UniDiffuserMode mode, const UniDiffuserConfig& config, double bytes) {
  if (mode == UniDiffuserMode::t2i) {
    const ClipTextConfig& text = config.text_encoder;
    const Tally tally = clip_layers(text.layers, real(text.max_position_embeddings));
    const double embeddings = real((text.vocab_size + text.max_position_embeddings) * text.layers.hidden_size);
    return {.weight_bytes = bytes * (tally.parameters + embeddings),
            .product_flop = tally.flop,
            .attention_flop = attention_in(text.layers, text.max_position_embeddings)};
  }
  if (mode != UniDiffuserMode::i2t) return {};
  const ClipVisionConfig& vision = config.image_encoder;
  const Tally clip = clip_layers(vision.layers, real(vision.tokens()));
  const std::int64_t side = config.resolution();
  const Tally vae = autoencoder(config.vae, side, config.vae.layers_per_block);
  return {
      .weight_bytes = bytes * (clip.parameters + vae.parameters),
      .activation_bytes = bytes * real(side * side * config.vae.block_out_channels.front()) * tensors_in_the_decoder,
      .product_flop = clip.flop + vae.flop,
      .attention_flop = attention_in(vision.layers, vision.tokens())};
}

PhaseCost decoding(UniDiffuserMode mode, const UniDiffuserConfig& config, std::int64_t count, double bytes) {
  PhaseCost cost;
  if (makes_image(mode)) {
    const std::int64_t side = config.resolution();
    const std::vector<std::int64_t>& widths = config.vae.block_out_channels;
    const Tally vae = autoencoder(config.vae, side, config.vae.layers_per_block + 1);
    const std::int64_t widest = widths[std::min<std::size_t>(1, widths.size() - 1)];
    cost = {.weight_bytes = bytes * vae.parameters,
            .activation_bytes = bytes * real(side * side * widest) * tensors_in_the_decoder,
            .product_flop = real(count) * vae.flop};
  }
  if (makes_text(mode)) {
    const CaptionConfig& text = config.text_decoder;
    const BeamOptions beams;
    const Tally tally = caption_decoder(text, real(text.prefix_length + beams.beams * beams.most_tokens));
    cost.weight_bytes += bytes * tally.parameters;
    cost.product_flop += real(count) * tally.flop;
  }
  return cost;
}

}  // namespace

double parameters_of(const UVitConfig& config) {
  return uvit(config, 1, GeluPass::own).parameters;
}

Cost cost_of(const Request& request, const UniDiffuserConfig& config, const RunOptions& options) {
  const auto bytes = static_cast<double>(c10::elementSize(options.dtype.value()));
  const UVitConfig& denoiser = config.uvit;
  const std::span<const UniDiffuserMode> stages = stages_of(request.mode);
  const std::int64_t batch = passes(stages.back(), request.guidance_scale) * request.count;
  const std::int64_t tokens = denoiser.tokens(), image_tokens = denoiser.patches() + 1;
  Cost cost;
  cost.tokens = {{.of = "time", .count = tokens - denoiser.num_text_tokens - image_tokens},
                 {.of = "text", .count = denoiser.num_text_tokens},
                 {.of = "image", .count = image_tokens}};
  cost.layers = denoiser.layers();
  cost.rounds = std::ssize(stages);
  cost.attention = {.batch = batch,
                    .heads = denoiser.num_attention_heads,
                    .queries = tokens,
                    .keys = tokens,
                    .head_dim = denoiser.attention_head_dim};
  const bool takes_gelu = denoiser.activation != UVitActivation::geglu &&
                          multiplies_in_panels(options.linear, options.device, options.dtype.value());
  const Tally step = uvit(denoiser, real(batch), takes_gelu ? GeluPass::in_a_product : GeluPass::own);
  const double kept_by_skips = real(denoiser.depth());
  cost.encode = encoding(stages.front(), config, bytes);
  cost.decode = decoding(stages.back(), config, request.count, bytes);
  cost.denoise = {
      .weight_bytes = bytes * weight_copies(options) * step.parameters,
      .activation_bytes = bytes * real(batch * tokens * denoiser.inner_dim()) * (tensors_in_a_block + kept_by_skips),
      .product_flop = step.flop,
      .attention_flop = real(cost.layers) * attention_flop(cost.attention),
      .works = step.works(bytes)};
  if (stages.size() > 1) {  // what lies between the halves, while the U-ViT stays loaded
    for (const PhaseCost& between :
         {decoding(stages.front(), config, 1, bytes), encoding(stages.back(), config, bytes)})
      cost.denoise.weight_bytes += between.weight_bytes;
  }
  return cost;
}

}  // namespace bitreel
