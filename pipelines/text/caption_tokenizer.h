// Token ids of a caption decoder back to text: GPT-2's byte-pair vocabulary of a checkpoint's text_tokenizer/ folder.
//
//   const CaptionTokenizer tokenizer = CaptionTokenizer::open(folder / "text_tokenizer");
//   const std::string caption = tokenizer.decode(ids);   // without special tokens; U+FFFD for what is no UTF-8
//   tokenizer.end_id();                                  // where a caption stops: UniDiffuser's added <|EOS|>
//
// Errors: those of byte_pairs.h and special_tokens.h; an id that the vocabulary has not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/text/byte_pairs.h"
#include "pipelines/text/special_tokens.h"

namespace bitreel {

class CaptionTokenizer {
 public:
  static CaptionTokenizer open(const std::filesystem::path& folder);

  [[nodiscard]] std::string decode(const std::vector<std::int64_t>& ids) const;
  [[nodiscard]] std::int64_t end_id() const { return special_.end.id; }

 private:
  CaptionTokenizer(BytePairs pairs, SpecialTokens special) : pairs_(std::move(pairs)), special_(std::move(special)) {}

  BytePairs pairs_;
  SpecialTokens special_;
};

}  // namespace bitreel
