#include <algorithm>
#include <cmath>
#include <numbers>

#include "pipelines/image/picture.h"

namespace bitreel {
namespace {

double bilinear(double x) {
  return std::max(0.0, 1.0 - std::abs(x));
}

// Keys' cubic with a = -0.5.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) {
  return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

struct Filter {
  double (*weight)(double x);
  double support;
};

Filter filter_of(Resampling resampling) {
  switch (resampling) {
    case Resampling::bilinear:
      return {bilinear, 1.0};
    case Resampling::bicubic:
      return {bicubic, 2.0};
    case Resampling::lanczos:
      break;
  }
  return {lanczos, 3.0};
}

constexpr int precision_bits = 32 - 8 - 2;  // of a weight: sums of bytes times weights fit into 32 bits

// One output pixel along an axis: where its inputs begin and their fixed-point weights.
struct Taps {
  std::int64_t first = 0;
  std::vector<std::int32_t> weights;
};

// Of the output pixels from `begin` to `end`.
std::vector<Taps> taps_of(std::int64_t in, std::int64_t out, std::int64_t begin, std::int64_t end,
                          const Filter& filter) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double stretch = std::max(scale, 1.0);  // shrinking widens the filter: antialiasing
  const double support = filter.support * stretch;
  std::vector<Taps> all;
  all.reserve(static_cast<std::size_t>(end - begin));
  for (std::int64_t i = begin; i < end; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(std::lround(center - support), 0);
    const auto last = std::min<std::int64_t>(std::lround(center + support), in);
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t j = first; j < last; ++j) {
      weights.push_back(filter.weight((static_cast<double>(j) - center + 0.5) * (1.0 / stretch)));
      sum += weights.back();
    }
    Taps& taps = all.emplace_back();
    taps.first = first;
    for (const double weight : weights) {
      const double fixed = (sum == 0.0 ? weight : weight / sum) * (1 << precision_bits);
      taps.weights.push_back(static_cast<std::int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
  }
  return all;
}

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> precision_bits, 0, 255));
}

// Rows stay, or columns do: `step` is the distance in bytes between neighbours along the axis that changes.
struct Axis {
  std::int64_t lines, line_step, in_step, out_step;
};

void resample(const std::uint8_t* in, std::uint8_t* out, const std::vector<Taps>& all, Axis in_axis,
              std::int64_t out_line_step) {
  for (std::int64_t line = 0; line < in_axis.lines; ++line) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Taps& taps = all[i];
      for (int channel = 0; channel < 3; ++channel) {
        std::int32_t sum = 1 << (precision_bits - 1);
        const std::uint8_t* source = in + line * in_axis.line_step + taps.first * in_axis.in_step + channel;
        for (const std::int32_t weight : taps.weights) {
          sum += *source * weight;
          source += in_axis.in_step;
        }
        out[line * out_line_step + static_cast<std::int64_t>(i) * in_axis.out_step + channel] = to_byte(sum);
      }
    }
  }
}

}  // namespace

Picture resized(const Picture& picture, PictureSize size, Resampling resampling, const PictureWindow& part) {
  const Filter filter = filter_of(resampling);
  Picture wide{.width = part.size.width, .height = picture.height, .rgb = {}};
  wide.rgb.resize(static_cast<std::size_t>(3 * wide.width * wide.height));
  resample(picture.rgb.data(), wide.rgb.data(),
           taps_of(picture.width, size.width, part.left, part.left + wide.width, filter),
           {.lines = picture.height, .line_step = 3 * picture.width, .in_step = 3, .out_step = 3}, 3 * wide.width);
  Picture out{.width = wide.width, .height = part.size.height, .rgb = {}};
  out.rgb.resize(static_cast<std::size_t>(3 * out.width * out.height));
  resample(wide.rgb.data(), out.rgb.data(),
           taps_of(picture.height, size.height, part.top, part.top + out.height, filter),
           {.lines = out.width, .line_step = 3, .in_step = 3 * out.width, .out_step = 3 * out.width}, 3);
  return out;
}

Picture resized(const Picture& picture, PictureSize size, Resampling resampling) {
  return resized(picture, size, resampling, {.size = size});
}

}  // namespace bitreel
