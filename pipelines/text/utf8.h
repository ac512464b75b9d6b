// Text as bytes and as characters: UTF-8 checked, taken apart and put together, and the Unicode facts that tokenizers
// ask for.
//
//   const std::u32string text = fold_case(to_nfc(code_points(prompt)));   // of valid UTF-8 (base/utf8.h)
//   const std::string shown = with_replacements(bytes_of_a_model);        // what is no UTF-8 becomes U+FFFD
//
// Facts come from utf8proc (Unicode 14 or later).
#pragma once

#include <string>
#include <string_view>

#include "base/utf8.h"

namespace bitreel {

// U+FFFD for every maximal part that is no UTF-8, as Rust and the WHATWG do it.
std::string with_replacements(std::string_view bytes);

// text: valid UTF-8.
std::u32string code_points(std::string_view text);
std::string to_utf8(std::u32string_view text);

// Canonical composition.
std::u32string to_nfc(std::u32string_view text);
// Every character in lower case by itself: final sigmas are like others.
std::u32string fold_case(std::u32string_view text);

bool is_letter(char32_t c);
bool is_number(char32_t c);
bool is_space(char32_t c);  // the property White_Space
bool is_blank(char32_t c);  // nothing to see: spaces, control and format characters

}  // namespace bitreel
