#include "app/clip_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/number_text.h"
#include "base/utf8.h"
#include "pipelines/text/utf8.h"

namespace bitreel {
namespace {

// Models read 226 tokens, a few kilobytes; to find that out of a megabyte of Chinese takes SentencePiece 12 s.
constexpr std::size_t most_prompt_bytes = std::size_t{128} << 10;

// A rate by 1001, if `fps` is one to as many decimals as it has, and those are two at least.
double exact_rate(double fps) {
  const std::string written = fmt::format("{}", fps);
  const std::size_t point = written.find('.');
  const auto decimals = static_cast<double>(point == std::string::npos ? 0 : written.size() - point - 1);
  if (decimals < 2) return fps;
  for (const double whole : {24.0, 30.0, 48.0, 60.0, 120.0}) {
    const double exact = whole * 1000 / 1001;
    if (std::abs(fps - exact) <= 0.5 * std::pow(10.0, -decimals)) return exact;
  }
  return fps;
}

}  // namespace

std::string utf8_from(const std::string& text, const std::string& where) {
  const std::size_t at = invalid_utf8_at(text);
  if (at == std::string_view::npos) return text;
  throw UsageError(
      fmt::format("{} is not valid UTF-8: byte {} is 0x{:02x}", where, at, static_cast<unsigned char>(text[at])),
      "save or paste the text as UTF-8");
}

std::string prompt_from(const std::string& text, const std::string& where) {
  if (text.size() > most_prompt_bytes) {
    throw UsageError(fmt::format("{} has {} bytes, expected at most {}", where, text.size(), most_prompt_bytes),
                     "models read the first few hundred words");
  }
  std::string prompt = utf8_from(text, where);
  if (!prompt.empty() && std::ranges::all_of(code_points(prompt), is_blank)) {
    throw UsageError(fmt::format("{} holds nothing but blanks", where), "leave it empty for a clip without a prompt");
  }
  return prompt;
}

double fps_from(const std::string& text, const std::string& where) {
  constexpr double least = 0.1, most = 240;
  const std::string_view written = text;
  const std::size_t slash = written.find('/');
  std::optional<double> fps = number_from<double>(written.substr(0, slash));
  if (slash != std::string_view::npos) {
    const std::optional<double> divisor = number_from<double>(written.substr(slash + 1));
    fps = fps && divisor && *divisor > 0 ? std::optional(*fps / *divisor) : std::nullopt;
  }
  if (!fps || !(*fps >= least && *fps <= most)) {  // so that nan is refused too
    throw UsageError(fmt::format("{} is \"{}\", expected a number from {} to {} or a fraction such as 24000/1001",
                                 where, text, least, most));
  }
  return exact_rate(*fps);
}

}  // namespace bitreel
