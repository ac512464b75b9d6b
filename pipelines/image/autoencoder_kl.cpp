#include "pipelines/image/autoencoder_kl.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_fields.h"
#include "pipelines/image/image_coders.h"

namespace bitreel {
namespace {

const std::string config_file = "vae/config.json";
constexpr double tile_overlap = 0.25;

// One side of the tile grid, which is square. `in` is what the coder reads, `out` what it writes.
struct TileGrid {
  std::int64_t tile;    // in
  std::int64_t stride;  // in
  std::int64_t blend;   // out: rows shared with the neighbour
  std::int64_t keep;    // out: rows that stay of each tile
};

// Casting to an integer truncates, as the peer's int() does.
TileGrid tile_grid(std::int64_t in, std::int64_t out) {
  const auto blend = static_cast<std::int64_t>(static_cast<double>(out) * tile_overlap);
  return {.tile = in,
          .stride = static_cast<std::int64_t>(static_cast<double>(in) * (1 - tile_overlap)),
          .blend = blend,
          .keep = out - blend};
}

// b's first rows (or columns) fade in from a's last ones, in place.
void blend(const at::Tensor& a, at::Tensor& b, std::int64_t dim, std::int64_t extent) {
  extent = std::min({extent, a.size(dim), b.size(dim)});
  for (std::int64_t i = 0; i < extent; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(extent);
    at::Tensor row = b.select(dim, i);
    row.copy_(a.select(dim, a.size(dim) - extent + i) * (1 - share) + row * share);
  }
}

using Coder = std::function<at::Tensor(const at::Tensor&)>;

at::Tensor run_in_tiles(const at::Tensor& input, const TileGrid& grid, const Coder& coder) {
  std::vector<std::vector<at::Tensor>> tiles;
  for (std::int64_t y = 0; y < input.size(2); y += grid.stride) {
    std::vector<at::Tensor>& row = tiles.emplace_back();
    for (std::int64_t x = 0; x < input.size(3); x += grid.stride) {
      row.push_back(coder(input.slice(2, y, y + grid.tile).slice(3, x, x + grid.tile)));
    }
  }
  std::vector<at::Tensor> rows;
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    std::vector<at::Tensor> kept;
    for (std::size_t j = 0; j < tiles[i].size(); ++j) {
      if (i > 0) blend(tiles[i - 1][j], tiles[i][j], 2, grid.blend);
      if (j > 0) blend(tiles[i][j - 1], tiles[i][j], 3, grid.blend);
      kept.push_back(tiles[i][j].slice(2, 0, grid.keep).slice(3, 0, grid.keep));
    }
    rows.push_back(at::cat(kept, 3));
  }
  return at::cat(rows, 2);
}

at::Tensor run(const at::Tensor& input, const AutoencoderRun& options, const TileGrid& grid, const Coder& coder) {
  const bool tiles = options.tiling && (input.size(2) > grid.tile || input.size(3) > grid.tile);
  const Coder whole = [&](const at::Tensor& x) { return tiles ? run_in_tiles(x, grid, coder) : coder(x); };
  if (!options.slicing) return whole(input);
  std::vector<at::Tensor> slices;
  for (const at::Tensor& one : input.split(1)) slices.push_back(whole(one));
  return at::cat(slices);
}

void check_tiles(const AutoencoderKlConfig& config) {
  const std::int64_t factor = config.factor(), tile = config.sample_size / factor;
  const TileGrid grid = tile_grid(tile, config.sample_size);
  if (config.sample_size % factor != 0 || grid.stride < 1 || grid.stride * factor != grid.keep) {
    throw UsageError(
        fmt::format("VAE tiles of {} pixels overlap by {:.4g} latents, expected a whole number", config.sample_size,
                    tile_overlap * static_cast<double>(config.sample_size) / static_cast<double>(factor)),
        "render without `vae_tiling`");
  }
}

}  // namespace

AutoencoderKlConfig read_autoencoder_kl_config(const nlohmann::json& json) {
  const JsonFields fields(json, config_file);
  AutoencoderKlConfig config;
  constexpr IntegerRange channels{1, 1 << 13};
  (void)fields.integer("in_channels", 3, {3, 3});
  (void)fields.integer("out_channels", 3, {3, 3});
  config.block_out_channels = fields.integers("block_out_channels", config.block_out_channels, channels);
  config.layers_per_block = fields.integer("layers_per_block", config.layers_per_block, {1, 64});
  config.latent_channels = fields.integer("latent_channels", config.latent_channels, channels);
  config.norm_num_groups = fields.integer("norm_num_groups", config.norm_num_groups, channels);
  config.sample_size = fields.integer("sample_size", config.sample_size, {1, 1 << 16});
  config.scaling_factor = fields.real("scaling_factor", config.scaling_factor, {1e-6, 1e6});
  config.use_quant_conv = fields.boolean("use_quant_conv", config.use_quant_conv);
  config.use_post_quant_conv = fields.boolean("use_post_quant_conv", config.use_post_quant_conv);
  config.mid_block_add_attention = fields.boolean("mid_block_add_attention", config.mid_block_add_attention);
  (void)fields.choice("act_fn", "silu", {"silu", "swish"});
  const auto check_blocks = [&](const std::string& key, const std::string& kind) {
    for (const nlohmann::json& block : json.value(key, nlohmann::json::array())) {
      if (block != kind) throw Error(fmt::format("{}: {} holds {}, expected {}", config_file, key, block.dump(), kind));
    }
  };
  check_blocks("down_block_types", "DownEncoderBlock2D");
  check_blocks("up_block_types", "UpDecoderBlock2D");
  for (const char* key : {"shift_factor", "latents_mean", "latents_std"}) {
    if (json.contains(key) && !json[key].is_null())
      throw Error(fmt::format("{}: {} is set, expected null", config_file, key));
  }
  if (config.block_out_channels.empty() || config.block_out_channels.size() > 8) {
    throw Error(fmt::format("{}: block_out_channels has {} levels, expected 1 to 8", config_file,
                            config.block_out_channels.size()));
  }
  for (const std::int64_t width : config.block_out_channels) {
    if (width % config.norm_num_groups != 0) {
      throw Error(fmt::format("{}: block_out_channels holds {}, expected multiples of norm_num_groups {}", config_file,
                              width, config.norm_num_groups));
    }
  }
  return config;
}

AutoencoderKl::AutoencoderKl(const Weights& weights, const AutoencoderKlConfig& config, LoadOptions options,
                             AutoencoderParts parts, const std::string& attention_backend)
    : config_(config) {
  Loader loader(weights, options);
  const Scope root = loader.root();
  if (parts == AutoencoderParts::decoder) {
    loader.ignore("encoder.");
    loader.ignore("quant_conv.");
  } else {
    encoder_ = std::make_unique<ImageEncoder>(root, config, attention_backend);
  }
  if (parts == AutoencoderParts::encoder) {
    loader.ignore("decoder.");
    loader.ignore("post_quant_conv.");
  } else {
    decoder_ = std::make_unique<ImageDecoder>(root, config, attention_backend);
  }
  loader.finish();
}

AutoencoderKl::~AutoencoderKl() = default;
AutoencoderKl::AutoencoderKl(AutoencoderKl&&) noexcept = default;
AutoencoderKl& AutoencoderKl::operator=(AutoencoderKl&&) noexcept = default;

at::Tensor AutoencoderKl::encode(const at::Tensor& pixels, const AutoencoderRun& options) const {
  const std::int64_t factor = config_.factor();
  if (pixels.size(2) % factor != 0 || pixels.size(3) % factor != 0) {
    throw UsageError(
        fmt::format("a picture of {}x{} pixels: expected multiples of {}", pixels.size(3), pixels.size(2), factor));
  }
  if (options.tiling) check_tiles(config_);
  return run(pixels, options, tile_grid(config_.sample_size, config_.sample_size / factor), *encoder_);
}

at::Tensor AutoencoderKl::decode(const at::Tensor& latents, const AutoencoderRun& options) const {
  if (options.tiling) check_tiles(config_);
  return run(latents, options, tile_grid(config_.sample_size / config_.factor(), config_.sample_size), *decoder_);
}

at::Tensor sampled(const at::Tensor& moments, const at::Generator& generator) {
  constexpr double least = -30, most = 20;  // of the log variance
  const std::vector<at::Tensor> halves = moments.chunk(2, 1);
  const at::Tensor noise =
      at::randn(halves[0].sizes(), generator, at::TensorOptions(moments.scalar_type()).device(generator.device()))
          .to(moments.device());
  return halves[0] + at::exp(0.5 * halves[1].clamp(least, most)) * noise;
}

}  // namespace bitreel
