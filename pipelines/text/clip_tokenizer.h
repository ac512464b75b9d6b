// CLIP's byte-pair tokenizer, of a checkpoint's clip_tokenizer/ folder: text to exactly the ids of transformers.
//
//   const ClipTokenizer tokenizer = ClipTokenizer::open(folder / "clip_tokenizer");
//   const TokenIds tokens = tokenizer.encode("a red circle", 77);   // in <|startoftext|> and <|endoftext|>, padded
//
// NFC, white space as one space, lower case; words are contractions, runs of letters, single digits and runs of the
// rest. Special tokens written in the text become their ids. Text too long is cut with both ends kept.
// Source: Radford et al., arXiv 2103.00020; transformers tokenization_clip.py.
// Errors: those of byte_pairs.h and special_tokens.h; invalid UTF-8 in the text is a UsageError.
#pragma once

#include <filesystem>
#include <string_view>

#include "pipelines/text/byte_pairs.h"
#include "pipelines/text/special_tokens.h"
#include "pipelines/text/tokenizer.h"

namespace bitreel {

class ClipTokenizer {
 public:
  static ClipTokenizer open(const std::filesystem::path& folder);

  // length: at least 2.
  [[nodiscard]] TokenIds encode(std::string_view text, std::int64_t length) const;
  // One above the highest id that encode() gives.
  [[nodiscard]] std::int64_t size() const;

 private:
  ClipTokenizer(BytePairs pairs, SpecialTokens special);
  void add_normalized(std::u32string_view text, std::vector<std::int64_t>& ids) const;
  void add_plain(std::u32string_view text, std::vector<std::int64_t>& ids) const;

  struct Pattern {
    std::u32string content;
    std::int64_t id;
  };

  BytePairs pairs_;
  SpecialTokens special_;
  std::vector<Pattern> typed_,
      normalized_;  // special tokens as looked for before and after normalisation, longest first
};

}  // namespace bitreel
