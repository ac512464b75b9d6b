#include "pipelines/cogvideox/vae.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "base/error.h"
#include "pipelines/cogvideox/vae_coders.h"

namespace bitreel {
namespace {

constexpr std::int64_t latent_frames_per_batch = 2;
constexpr std::int64_t pixel_frames_per_batch = 8;

struct Range {
  std::int64_t start, length;
};

// Batches of `size` frames; what doesn't divide goes into the first.
std::vector<Range> frame_batches(std::int64_t frames, std::int64_t size) {
  const std::int64_t count = std::max<std::int64_t>(frames / size, 1);
  const std::int64_t remainder = frames % size;
  std::vector<Range> batches;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t start = i == 0 ? 0 : size * i + remainder;
    batches.push_back({start, std::min(size * (i + 1) + remainder, frames) - start});
  }
  return batches;
}

// One axis of the tile grid. `in` is what the coder reads, `out` what it writes.
struct TileAxis {
  std::int64_t tile;    // in
  std::int64_t stride;  // in
  std::int64_t blend;   // out: rows shared with the neighbour
  std::int64_t keep;    // out: rows that stay of each tile
};

// Casting to an integer truncates, as the peer's int() does.
TileAxis tile_axis(std::int64_t in_tile, std::int64_t out_tile, double overlap) {
  const auto stride = static_cast<std::int64_t>(static_cast<double>(in_tile) * (1.0 - overlap));
  const auto blend = static_cast<std::int64_t>(static_cast<double>(out_tile) * overlap);
  return {in_tile, stride, blend, out_tile - blend};
}

struct TileGrid {
  TileAxis height, width;
};

void check_tiles(const VaeTiling& tiling, std::int64_t factor) {
  const auto check_axis = [&](std::int64_t pixels, double overlap, const char* axis) {
    const TileAxis decode = tile_axis(pixels / factor, pixels, overlap);
    if (pixels % factor != 0 || decode.stride < 1 || decode.stride * factor != decode.keep) {
      throw UsageError(fmt::format("VAE tiles of {} pixels {} overlap by {:.4g} latents, expected a whole number",
                                   pixels, axis, static_cast<double>(pixels) / static_cast<double>(factor) * overlap),
                       "choose a tile size whose overlap is a whole number of latents, or render without `vae_tiling`");
    }
  };
  check_axis(tiling.tile_height, tiling.overlap_height, "high");
  check_axis(tiling.tile_width, tiling.overlap_width, "wide");
}

// b's first `extent` rows (or columns) fade in from a's last ones, in place.
void blend(const at::Tensor& a, at::Tensor& b, std::int64_t dim, std::int64_t extent) {
  extent = std::min({extent, a.size(dim), b.size(dim)});
  for (std::int64_t i = 0; i < extent; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(extent);
    at::Tensor row = b.select(dim, i);
    row.copy_(a.select(dim, a.size(dim) - extent + i) * (1.0 - share) + row * share);
  }
}

using Coder = std::function<at::Tensor(const at::Tensor& input, ConvCaches& caches)>;
using OnPiece = std::function<void(const at::Tensor& piece)>;

// Runs the coder over time, one frame batch after the other, each as one piece or as a grid of blended tiles. Tiles
// keep a cache each, so walking time outside and tiles inside gives the peer's numbers while only one batch is held.
void run_in_batches(const at::Tensor& input, std::int64_t batch_frames, const std::optional<TileGrid>& grid,
                    const Coder& coder, const OnPiece& on_piece) {
  ConvCaches whole_caches;
  std::vector<std::vector<ConvCaches>> tile_caches;
  for (const Range batch : frame_batches(input.size(2), batch_frames)) {
    const at::Tensor frames = input.narrow(2, batch.start, batch.length);
    if (!grid) {
      on_piece(coder(frames, whole_caches));
      continue;
    }
    std::vector<std::vector<at::Tensor>> tiles;
    for (std::int64_t y = 0, i = 0; y < input.size(3); y += grid->height.stride, ++i) {
      if (tile_caches.size() <= static_cast<std::size_t>(i)) tile_caches.emplace_back();
      std::vector<ConvCaches>& row_caches = tile_caches[static_cast<std::size_t>(i)];
      std::vector<at::Tensor>& row = tiles.emplace_back();
      for (std::int64_t x = 0, j = 0; x < input.size(4); x += grid->width.stride, ++j) {
        if (row_caches.size() <= static_cast<std::size_t>(j)) row_caches.emplace_back();
        const at::Tensor tile = frames.slice(3, y, y + grid->height.tile).slice(4, x, x + grid->width.tile);
        row.push_back(coder(tile, row_caches[static_cast<std::size_t>(j)]));
      }
    }
    std::vector<at::Tensor> rows;
    for (std::size_t i = 0; i < tiles.size(); ++i) {
      std::vector<at::Tensor> kept;
      for (std::size_t j = 0; j < tiles[i].size(); ++j) {
        if (i > 0) blend(tiles[i - 1][j], tiles[i][j], 3, grid->height.blend);
        if (j > 0) blend(tiles[i][j - 1], tiles[i][j], 4, grid->width.blend);
        kept.push_back(tiles[i][j].slice(3, 0, grid->height.keep).slice(4, 0, grid->width.keep));
      }
      rows.push_back(at::cat(kept, 4));
    }
    on_piece(at::cat(rows, 3));
  }
}

}  // namespace

VaeTiling default_tiling(const VaeConfig& config) {
  VaeTiling tiling;
  tiling.tile_height = config.sample_height / 2;
  tiling.tile_width = config.sample_width / 2;
  return tiling;
}

Vae::Vae(const Weights& weights, const VaeConfig& config, LoadOptions options, VaeParts parts, Elementwise elementwise)
    : config_(config) {
  Loader loader(weights, options);
  const Scope root = loader.root();
  if (parts == VaeParts::decoder) {
    loader.ignore("encoder.");
  } else {
    encoder_ = std::make_unique<VaeEncoder>(root / "encoder", config, elementwise);
  }
  if (parts == VaeParts::encoder) {
    loader.ignore("decoder.");
  } else {
    decoder_ = std::make_unique<VaeDecoder>(root / "decoder", config, elementwise);
  }
  loader.finish();
}

Vae::~Vae() = default;
Vae::Vae(Vae&&) noexcept = default;
Vae& Vae::operator=(Vae&&) noexcept = default;

void Vae::decode(const at::Tensor& latents, const VaeRunOptions& options, const OnPiece& on_frames) const {
  std::optional<TileGrid> grid;
  if (options.tiling) {
    const std::int64_t factor = config_.spatial_factor();
    const VaeTiling& tiling = *options.tiling;
    const std::int64_t height = tiling.tile_height / factor, width = tiling.tile_width / factor;
    if (latents.size(3) > height || latents.size(4) > width) {
      check_tiles(tiling, factor);
      grid = {tile_axis(height, tiling.tile_height, tiling.overlap_height),
              tile_axis(width, tiling.tile_width, tiling.overlap_width)};
    }
  }
  const Coder decode_batch = [&](const at::Tensor& batch, ConvCaches& caches) { return (*decoder_)(batch, caches); };
  run_in_batches(latents, latent_frames_per_batch, grid, decode_batch, on_frames);
}

at::Tensor Vae::decode_whole(const at::Tensor& latents, const VaeRunOptions& options) const {
  std::vector<at::Tensor> pieces;
  decode(latents, options, [&](const at::Tensor& piece) { pieces.push_back(piece); });
  return at::cat(pieces, 2);
}

at::Tensor Vae::encode(const at::Tensor& pixels, const VaeRunOptions& options) const {
  std::optional<TileGrid> grid;
  if (options.tiling && (pixels.size(3) > options.tiling->tile_height || pixels.size(4) > options.tiling->tile_width)) {
    const std::int64_t factor = config_.spatial_factor();
    const VaeTiling& tiling = *options.tiling;
    check_tiles(tiling, factor);
    grid = {tile_axis(tiling.tile_height, tiling.tile_height / factor, tiling.overlap_height),
            tile_axis(tiling.tile_width, tiling.tile_width / factor, tiling.overlap_width)};
  }
  const Coder encode_batch = [&](const at::Tensor& batch, ConvCaches& caches) { return (*encoder_)(batch, caches); };
  std::vector<at::Tensor> pieces;
  run_in_batches(pixels, pixel_frames_per_batch, grid, encode_batch,
                 [&](const at::Tensor& piece) { pieces.push_back(piece); });
  return at::cat(pieces, 2);
}

}  // namespace bitreel
