#include "pipelines/cogvideox/request.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "base/error.h"

namespace bitreel {
namespace {

constexpr std::int64_t most_pixels = 8192;
constexpr std::int64_t most_frames = 4097;
constexpr std::int64_t frames_per_vae_batch = 8;

// The multiple of `unit` at or below `value`, but at least one unit; and the next one up.
std::string multiples_around(std::int64_t value, std::int64_t unit) {
  const std::int64_t below = value / unit * unit;
  return below < unit ? fmt::format("try {}", unit) : fmt::format("try {} or {}", below, below + unit);
}

// Pixels must come out whole: of the VAE's factor times the patch, and of 8, which the peer insists on.
void check_side(const char* field, std::int64_t pixels, const CogVideoXConfig& config) {
  const std::int64_t unit = std::lcm(std::int64_t{8}, config.vae.spatial_factor() * config.transformer.patch_size);
  if (pixels < unit || pixels > most_pixels) {
    throw UsageError(fmt::format("{} {}: expected {} to {} pixels", field, pixels, unit, most_pixels),
                     "leave it out for the model's own size");
  }
  if (pixels % unit != 0) {
    throw UsageError(fmt::format("{} {}: expected a multiple of {}", field, pixels, unit),
                     multiples_around(pixels, unit));
  }
}

void check_frames(std::int64_t frames) {
  if (frames < 1 || frames > most_frames) {
    throw UsageError(fmt::format("`num_frames` {}: expected 1 to {}", frames, most_frames),
                     "leave it out for the model's own length");
  }
  if ((frames - 1) % frames_per_vae_batch != 0) {
    const std::int64_t below = (frames - 1) / frames_per_vae_batch * frames_per_vae_batch + 1;
    throw UsageError(fmt::format("`num_frames` {}: this model makes 8n+1 frames", frames),
                     fmt::format("try {} or {}", below, below + frames_per_vae_batch));
  }
}

}  // namespace

Request default_request(const CogVideoXConfig& config) {
  Request request;
  request.width = config.transformer.sample_width * config.vae.spatial_factor();
  request.height = config.transformer.sample_height * config.vae.spatial_factor();
  request.num_frames = config.transformer.sample_frames;
  request.scheduler = config.scheduler;
  return request;
}

Geometry geometry_of(const Request& request, const CogVideoXConfig& config) {
  const TransformerConfig& transformer = config.transformer;
  const std::int64_t factor = config.vae.spatial_factor(), patch = transformer.patch_size;
  const std::int64_t patch_frames = transformer.patch_size_t.value_or(1);
  Geometry geometry;
  const std::int64_t frames = (request.num_frames - 1) / config.vae.temporal_compression_ratio + 1;
  geometry.padding_frames = (patch_frames - frames % patch_frames) % patch_frames;
  geometry.latent_frames = frames + geometry.padding_frames;
  geometry.latent_height = request.height / factor;
  geometry.latent_width = request.width / factor;
  geometry.text_tokens = transformer.max_text_seq_length;
  geometry.video_tokens =
      geometry.latent_frames / patch_frames * (geometry.latent_height / patch) * (geometry.latent_width / patch);
  return geometry;
}

void check(const Request& request, const CogVideoXConfig& config) {
  check_side("`width`", request.width, config);
  check_side("`height`", request.height, config);
  check_frames(request.num_frames);
  if (request.steps < 1 || request.steps > config.schedule.num_train_timesteps) {
    throw UsageError(fmt::format("`steps` {}: expected 1 to {}, the model's training timesteps", request.steps,
                                 config.schedule.num_train_timesteps),
                     "50 is the usual number");
  }
  if (!std::isfinite(request.guidance_scale) || request.guidance_scale < 0 || request.guidance_scale > 1000) {
    throw UsageError(fmt::format("`guidance_scale` {}: expected a number from 0 to 1000", request.guidance_scale),
                     "6 is the usual one; 1 turns guidance off");
  }
  const TransformerConfig& transformer = config.transformer;
  const std::int64_t factor = config.vae.spatial_factor();
  const std::int64_t most_width = transformer.sample_width / transformer.patch_size * transformer.patch_size * factor;
  const std::int64_t most_height = transformer.sample_height / transformer.patch_size * transformer.patch_size * factor;
  if (transformer.patch_size_t && (request.width > most_width || request.height > most_height)) {
    throw UsageError(fmt::format("{}x{}: this model's position table ends at {}x{}", request.width, request.height,
                                 most_width, most_height),
                     "choose a width and height within it");
  }
}

}  // namespace bitreel
