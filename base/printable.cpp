#include "base/printable.h"

#include <fmt/format.h>

#include <iterator>

#include "base/utf8.h"

namespace bitreel {
namespace {

enum class Newlines { escaped, kept };

bool turns_or_breaks_lines(char32_t c) {
  return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

std::string escaped(std::string_view text, Newlines newlines) {
  std::string shown;
  shown.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto [value, length] = utf8_character_at(text, i);
    if (length == 0) {
      fmt::format_to(std::back_inserter(shown), "\\x{:02x}", static_cast<unsigned char>(text[i]));
      ++i;
      continue;
    }
    if (value == '\n') {
      shown += newlines == Newlines::kept ? "\n" : "\\n";
    } else if (value == '\t') {
      shown += newlines == Newlines::kept ? "\t" : "\\t";
    } else if (is_control(value) && value < 0x80) {
      fmt::format_to(std::back_inserter(shown), "\\x{:02x}", static_cast<unsigned>(value));
    } else if (is_control(value) || turns_or_breaks_lines(value)) {
      fmt::format_to(std::back_inserter(shown), "\\u{:04x}", static_cast<unsigned>(value));
    } else {
      shown += text.substr(i, length);
    }
    i += length;
  }
  return shown;
}

}  // namespace

std::string printable(std::string_view text) {
  return escaped(text, Newlines::escaped);
}

std::string printable_lines(std::string_view text) {
  return escaped(text, Newlines::kept);
}

}  // namespace bitreel
