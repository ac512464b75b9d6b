#include "pipelines/unidiffuser/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/error.h"

namespace bitreel {
namespace {

using enum UniDiffuserMode;

struct Entry {
  std::string_view name;
  std::optional<Medium> takes;
  std::array<UniDiffuserMode, 2> stages;
  std::size_t count;  // of stages
};

constexpr std::array<Entry, 7> entries = {{
    {"t2i", Medium::text, {t2i}, 1},
    {"i2t", Medium::image, {i2t}, 1},
    {"joint", std::nullopt, {joint}, 1},
    {"image", std::nullopt, {image}, 1},
    {"text", std::nullopt, {text}, 1},
    {"image-variation", Medium::image, {i2t, t2i}, 2},
    {"text-variation", Medium::text, {t2i, i2t}, 2},
}};

std::span<const UniDiffuserMode> stages(const Entry& entry) {
  return std::span(entry.stages).first(entry.count);
}

// CLIP's processor scales the shorter side and cuts the middle out: of a long strip it would scale all of it first.
void check_sides(const Picture& picture) {
  constexpr std::int64_t most_times = 64;
  const auto [shorter, longer] = std::minmax(picture.width, picture.height);
  if (shorter > 0 && longer / shorter <= most_times) return;
  throw UsageError(fmt::format("`image`: {}x{} pixels, expected a longer side of at most {} times the shorter one",
                               picture.width, picture.height, most_times),
                   "cut out the part that you mean");
}

}  // namespace

std::vector<Mode> unidiffuser_modes() {
  std::vector<Mode> modes;
  for (const Entry& entry : entries) {
    Mode& mode = modes.emplace_back(Mode{.name = std::string(entry.name), .takes = entry.takes});
    const UniDiffuserMode last = stages(entry).back();  // variations make what they end in
    if (makes_image(last)) mode.makes.insert(Medium::image);
    if (makes_text(last)) mode.makes.insert(Medium::text);
  }
  return modes;
}

std::span<const UniDiffuserMode> stages_of(const std::string& mode) {
  for (const Entry& entry : entries) {
    if (entry.name == mode) return stages(entry);
  }
  throw UsageError(fmt::format("`mode` is \"{}\", which is none of this model's", mode),
                   "bitreel info MODEL lists them");
}

Request default_request(const UniDiffuserConfig& config) {
  Request request;
  request.mode = entries.front().name;
  request.width = request.height = config.resolution();
  request.guidance_scale = 8.0;
  request.scheduler = SchedulerKind::dpm_multistep;
  return request;
}

void check(const Request& request, const UniDiffuserConfig& config) {
  (void)stages_of(request.mode);
  if (request.picture) check_sides(*request.picture);
  for (const auto& [field, pixels] : {std::pair{"`width`", request.width}, {"`height`", request.height}}) {
    if (pixels == config.resolution()) continue;
    throw UsageError(fmt::format("{} {}: this model's position table is for {}x{} pixels", field, pixels,
                                 config.resolution(), config.resolution()),
                     "leave out `width` and `height`");
  }
  if (request.steps < 1 || request.steps > config.scheduler.num_train_timesteps) {
    throw UsageError(fmt::format("`steps` {}: expected 1 to {}, the model's training timesteps", request.steps,
                                 config.scheduler.num_train_timesteps),
                     "50 is the usual number");
  }
  if (!std::isfinite(request.guidance_scale) || request.guidance_scale < 0 || request.guidance_scale > 1000) {
    throw UsageError(fmt::format("`guidance_scale` {}: expected a number from 0 to 1000", request.guidance_scale),
                     "8 is the usual one; 1 turns guidance off");
  }
  constexpr std::int64_t most_samples = 64;
  if (request.count < 1 || request.count > most_samples) {
    throw UsageError(fmt::format("{} samples from one run: expected 1 to {}", request.count, most_samples),
                     "further ones have seeds of their own: bitreel batch");
  }
}

}  // namespace bitreel
