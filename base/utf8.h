// UTF-8, checked: overlong forms, surrogates and values past U+10FFFF are not UTF-8.
//
//   if (const auto at = invalid_utf8_at(prompt); at != std::string_view::npos) complain(at);
//   for (std::size_t i = 0; i < text.size();) {
//     const Utf8Character c = utf8_character_at(text, i);   // length 0: no character begins here
//     i += std::max<std::size_t>(c.length, 1);
//   }
#pragma once

#include <cstddef>
#include <string_view>

namespace bitreel {

struct Utf8Character {
  char32_t value = 0;
  std::size_t length = 0;  // bytes; 0 when what stands there is not UTF-8
};

Utf8Character utf8_character_at(std::string_view text, std::size_t at);

// The first byte that is not UTF-8, or npos.
std::size_t invalid_utf8_at(std::string_view text);

}  // namespace bitreel
