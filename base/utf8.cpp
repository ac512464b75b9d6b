#include "base/utf8.h"

namespace bitreel {

Utf8Character utf8_character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t k) { return at + k < text.size() ? static_cast<unsigned char>(text[at + k]) : 0U; };
  const unsigned lead = byte(0);
  if (at >= text.size()) return {};
  if (lead < 0x80) return {.value = lead, .length = 1};
  const std::size_t length = lead >= 0xc2 && lead < 0xe0   ? 2
                             : lead >= 0xe0 && lead < 0xf0 ? 3
                             : lead >= 0xf0 && lead < 0xf5 ? 4
                                                           : 0;
  if (length == 0) return {};
  char32_t value = lead & (0xffU >> (length + 1));
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(k) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(k) & 0x3f);
  }
  const bool malformed = (length == 3 && value < 0x800) || (value >= 0xd800 && value < 0xe000) ||
                         (length == 4 && value < 0x10000) || value > 0x10ffff;
  return malformed ? Utf8Character{} : Utf8Character{.value = value, .length = length};
}

std::size_t invalid_utf8_at(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_character_at(text, i).length;
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

}  // namespace bitreel
