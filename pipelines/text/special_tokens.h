// The tokens of a byte-pair tokenizer's folder that stand outside its merges, and which of them begin, end and pad.
//
//   const std::string end = "<|endoftext|>";
//   const SpecialTokenDefaults defaults{.begin = "<|startoftext|>", .end = end, .pad = end, .unknown = end};
//   const SpecialTokens special = SpecialTokens::read(folder, pairs, defaults);
//   special.end.content;   // "<|EOS|>" where special_tokens_map.json says so, whatever the config says
//
// Reads tokenizer.json's added_tokens, tokenizer_config.json, special_tokens_map.json and added_tokens.json, whichever
// are there, and weighs them as transformers 5 does. Errors: Error when a file is malformed, names an unknown token, an
// empty one or more than 4096.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/text/byte_pairs.h"

namespace bitreel {

struct AddedToken {
  std::string content;
  std::int64_t id = 0;
  bool normalized = false;  // looked for in normalised text, itself normalised; else in the text as typed
  bool special = true;      // left out when ids become text
};

// What the tokenizer's class says when no file does.
struct SpecialTokenDefaults {
  std::string begin, end, pad, unknown;
};

struct SpecialTokens {
  std::vector<AddedToken> added;
  AddedToken begin, end, pad;

  static SpecialTokens read(const std::filesystem::path& folder, const BytePairs& pairs,
                            const SpecialTokenDefaults& defaults);
};

}  // namespace bitreel
