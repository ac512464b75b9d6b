#include "pipelines/text/utf8.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"

namespace bitreel {
namespace {

// How many bytes at the text's start are one character, or, negative, how many belong to one mistake.
int character_at(std::string_view text) {
  const auto byte = [&](std::size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const int length = lead >= 0xc2 && lead < 0xe0   ? 2
                     : lead >= 0xe0 && lead < 0xf0 ? 3
                     : lead >= 0xf0 && lead < 0xf5 ? 4
                                                   : 0;
  if (length == 0) return -1;
  // The second byte's range is narrower where it rules out overlong forms, surrogates and values too large.
  const unsigned least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < least || byte(1) > most) return -1;
  for (int k = 2; k < length; ++k) {
    if ((byte(static_cast<std::size_t>(k)) & 0xc0) != 0x80) return -k;
  }
  return length;
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

}  // namespace

std::string with_replacements(std::string_view bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size();) {
    const int length = character_at(bytes.substr(i));
    const auto size = static_cast<std::size_t>(std::abs(length));
    if (length > 0)
      text += bytes.substr(i, size);
    else
      text += "\xef\xbf\xbd";
    i += size;
  }
  return text;
}

std::u32string code_points(std::string_view text) {
  std::u32string points;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t i = 0; i < text.size();) {
    utf8proc_int32_t point = 0;
    const utf8proc_ssize_t length = utf8proc_iterate(bytes + i, static_cast<utf8proc_ssize_t>(text.size() - i), &point);
    if (length <= 0) throw Error(fmt::format("text is not valid UTF-8 at byte {}", i));
    points.push_back(static_cast<char32_t>(point));
    i += static_cast<std::size_t>(length);
  }
  return points;
}

std::string to_utf8(std::u32string_view text) {
  std::string bytes;
  for (const char32_t c : text) {
    utf8proc_uint8_t one[4];
    const utf8proc_ssize_t length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), one);
    bytes.append(reinterpret_cast<const char*>(one), static_cast<std::size_t>(length));
  }
  return bytes;
}

std::u32string to_nfc(std::u32string_view text) {
  const std::string bytes = to_utf8(text);
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(bytes.data()), static_cast<utf8proc_ssize_t>(bytes.size()),
                   &composed, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (length < 0) throw Error(fmt::format("text can't be normalised: {}", utf8proc_errmsg(length)));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
  return code_points({reinterpret_cast<const char*>(composed), static_cast<std::size_t>(length)});
}

std::u32string fold_case(std::u32string_view text) {
  constexpr char32_t capital_i_with_dot = 0x130;  // the one character whose lower case is two
  std::u32string lower;
  for (const char32_t c : text) {
    if (c == capital_i_with_dot)
      lower += U"i\u0307";
    else
      lower.push_back(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
  return lower;
}

bool is_letter(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_number(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

bool is_space(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return (c >= 0x09 && c <= 0x0d) || c == 0x85 || (kind >= UTF8PROC_CATEGORY_ZS && kind <= UTF8PROC_CATEGORY_ZP);
}

bool is_blank(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return is_space(c) || kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CF;
}

}  // namespace bitreel
