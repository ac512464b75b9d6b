// JSON from outside. nlohmann's parser takes any depth, but copying, printing and comparing what it made recurse: the
// one limit on nesting stands here, and every reader of JSON parses through these functions.
//
//   const nlohmann::json config = parse_json(text, "transformer/config.json");   // an Error names the file and why
//   const auto comment = parse_json_if_any<nlohmann::ordered_json>(text);        // discarded when it is no such JSON
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace bitreel {

// Configurations nest 3 deep, tokenizers 6, provenance 5.
inline constexpr std::size_t most_json_depth = 64;

// Whether brackets outside of strings nest beyond the limit.
bool nests_too_deep(std::string_view text);
// "nested more than 64 deep".
std::string too_deep_text();

// is_discarded() when the text is not JSON or nests too deep.
template <class Json = nlohmann::json>
Json parse_json_if_any(std::string_view text) {
  if (nests_too_deep(text)) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

template <class Json = nlohmann::json>
Json parse_json(std::string_view text, const std::string& name) {
  if (nests_too_deep(text)) throw Error(name + ": " + too_deep_text());
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {  // the library's own type: translated where the name is known
    throw Error(name + ": not valid JSON: " + error.what(), "download the file again");
  }
}

}  // namespace bitreel
