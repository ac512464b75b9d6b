#include "tests/pipelines/video/clips.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "pipelines/video/reader.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using Colour = std::array<double, 3>;

constexpr std::array<Colour, 8> bars = {
    {{255, 255, 255}, {255, 255, 0}, {0, 255, 255}, {0, 255, 0}, {255, 0, 255}, {255, 0, 0}, {0, 0, 255}, {0, 0, 0}}};

Colour mix(const Colour& a, const Colour& b, double amount) {
  const double t = std::clamp(amount, 0.0, 1.0);
  const double smooth = t * t * (3 - 2 * t);
  Colour mixed{};
  for (std::size_t i = 0; i < mixed.size(); ++i) mixed[i] = a[i] + (b[i] - a[i]) * smooth;
  return mixed;
}

// The second half of each bar fades into the next.
Colour bar_at(double place) {
  const auto index = static_cast<std::size_t>(place);
  return mix(bars[index % bars.size()], bars[(index + 1) % bars.size()], (place - std::floor(place)) * 2 - 1);
}

template <class ColourAt>
Image paint(int width, int height, ColourAt colour_at) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const double value : colour_at(x, y)) image.rgb.push_back(static_cast<std::uint8_t>(std::lround(value)));
    }
  }
  return image;
}

}  // namespace

Image draw(int width, int height, int time) {
  return paint(width, height, [&](int x, int y) {
    const Colour behind = {20, 60, 20 + 100.0 * x / width};
    const double distance = std::hypot(x - width / 4.0 - 2.0 * time, y - height * 0.75);
    const Colour below = mix({230, 40, 30}, behind, (distance - height / 8.0) / 6);
    const Colour above = bar_at((x + 1.5 * time) * 8 / width);
    return mix(above, below, (y - height * 0.45) / (height * 0.1));
  });
}

Image noise(int width, int height, int time) {
  std::mt19937 random(static_cast<unsigned>(time));
  return paint(width, height, [&](int, int) {
    const auto bits = random();
    return Colour{double(bits & 255), double(bits >> 8 & 255), double(bits >> 16 & 255)};
  });
}

std::vector<Image> draw_clip(int width, int height, int frames) {
  std::vector<Image> clip;
  clip.reserve(static_cast<std::size_t>(frames));
  for (int time = 0; time < frames; ++time) clip.push_back(draw(width, height, time));
  return clip;
}

double psnr(const Image& drawn, const Image& read) {
  double sum = 0;
  for (int y = 0; y < drawn.height; ++y) {
    for (int x = 0; x < drawn.width * 3; ++x) {
      const std::size_t from = std::size_t(y) * std::size_t(drawn.width) * 3 + std::size_t(x);
      const std::size_t to = std::size_t(y) * std::size_t(read.width) * 3 + std::size_t(x);
      const double difference = double(drawn.rgb.at(from)) - double(read.rgb.at(to));
      sum += difference * difference;
    }
  }
  if (sum == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(drawn.rgb.size()) / sum);
}

nlohmann::json provenance_of(const std::string& prompt) {
  return {{"bitreel", "0.0.0"}, {"config", {{"prompt", prompt}}}};
}

std::vector<Image> read_all(const fs::path& video) {
  std::vector<Image> clip;
  VideoReader reader(video);
  while (const std::optional<Frame> frame = reader.next()) {
    const std::size_t size = std::size_t(frame->width) * std::size_t(frame->height) * 3;
    clip.push_back({.width = frame->width, .height = frame->height, .rgb = {frame->rgb, frame->rgb + size}});
  }
  return clip;
}

void write_clip(const fs::path& video, const VideoOptions& options, const std::vector<Image>& clip,
                const nlohmann::json& provenance) {
  VideoWriter writer(video, options, clip.front().width, clip.front().height, provenance);
  for (const Image& image : clip) writer.push(image.frame());
  writer.finish();
}

}  // namespace bitreel::test
